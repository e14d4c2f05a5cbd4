import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.tools.arguments import ArgumentsSchema
from pipeline_worker.tools.outcome import ToolFailure
from shared.errors import ConfigError

BOOKING = {
    "type": "object",
    "properties": {"people": {"type": "integer", "minimum": 1}, "guest": {"$ref": "#/$defs/guest"}},
    "required": ["people"],
    "additionalProperties": False,
    "$defs": {"guest": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def test_valid_arguments_are_read() -> None:
    schema = ArgumentsSchema(BOOKING)
    assert schema.read('{"people": 2, "guest": {"name": "Ünal"}}') == {"people": 2, "guest": {"name": "Ünal"}}
    assert ArgumentsSchema({"type": "object"}).read("") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ('{"people": NaN}', "NaN is not a JSON number"),
        ('{"people": "\\ud800"}', "not JSON"),
        ("[" * 30_000, "not JSON"),
        ('{"people": ' + "1" * 10_000 + "}", "not JSON"),
        ("[1]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"people": "two"}', "people: 'two' is not of type 'integer'"),
        ('{"people": 0}', "people: 0 is less than the minimum"),
        ('{"people": 2, "guest": {"name": 1}}', "guest.name: 1 is not of type 'string'"),
        ("{}", "'people' is a required property"),
        ('{"people": 2, "wine": true}', "'wine' was unexpected"),
        ("x" * 40_000, "longer than"),
    ],
)
def test_the_error_for_invalid_arguments_says_what_to_correct(text: str, told: str) -> None:
    with pytest.raises(ToolFailure) as raised:
        ArgumentsSchema(BOOKING).read(text)
    assert told in str(raised.value)
    assert len(str(raised.value)) < 1000


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(ToolFailure):
        assert isinstance(ArgumentsSchema({"type": "object"}).read(text), dict)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string"}, "add 'type: object'"),
        ({}, "add 'type: object'"),
        ({"type": "object", "properties": {"a": {"type": "int"}}}, "properties.a.type: 'int' is not valid"),
        ({"type": "object", "required": "a"}, "required: 'a' is not of type 'array'"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "'#/$defs/b' cannot be resolved"),
        ({"type": "object", "allOf": [{"$ref": "https://schemas.example.com/a"}]}, "cannot be resolved"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "pattern"),
    ],
    ids=str,
)
def test_an_invalid_schema_is_an_error_at_start(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ArgumentsSchema(schema)
    assert told in raised.value.message
