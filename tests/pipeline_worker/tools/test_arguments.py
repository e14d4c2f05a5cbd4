import contextlib
import json
import time
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
        ('{"people": 1e999}', "1e999 is too large a number"),
        ('{"people": ' + "[" * 40 + "]" * 40 + "}", "nested more than 32 deep"),
        (json.dumps({"people": list(range(2_000))}), "more than 1000 values"),
        (json.dumps({"w" * 30_000: 1}), "'people' is a required property"),
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
        (
            {"type": "object", "properties": {"a": {"pattern": "("}}},
            "properties.a.pattern: the pattern '(' cannot be used",
        ),
        ({"type": "object", "properties": {"a": {"pattern": "(?=x)y"}}}, "look-around"),
        ({"type": "object", "patternProperties": {r"(a)\1": {}}}, "backreferences are not supported"),
        ({"type": "object", "properties": {"a": {"$ref": "#/x"}}, "x": {"pattern": "(?<!a)"}}, "look-around"),
        ({"type": "object", "properties": {"a": {"pattern": r"(\w{1,100}){1,100}"}}}, "exceeds size limit"),
        ({"type": "object", "properties": {"a": {"pattern": "a" * 3000}}}, "longer than 2000 characters"),
        ({"type": "object", "properties": {"a": {"$schema": "https://x.example"}}}, "at the top only"),
        (
            {"type": "object", "patternProperties": {"a": {}}, "unevaluatedProperties": False},
            "use additionalProperties",
        ),
    ],
    ids=lambda value: str(value)[:80],
)
def test_an_invalid_schema_is_an_error_at_start(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ArgumentsSchema(schema)
    assert told in raised.value.message


CATASTROPHIC = "^(a+)+$"
LONG = "a" * 31_000 + "!"
NESTED_OPERATIONS: Any = {"operation": "none"}
for _ in range(14):
    NESTED_OPERATIONS = {"operation": "or", "of": [NESTED_OPERATIONS]}


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"properties": {"a": {"pattern": CATASTROPHIC}}}, {"a": LONG}),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"pattern": CATASTROPHIC}}}, {"a": LONG}),
        ({"properties": {"a": {"items": {"anyOf": [{"pattern": CATASTROPHIC}]}}}}, {"a": [LONG]}),
        ({"patternProperties": {CATASTROPHIC: {}}, "additionalProperties": False}, {LONG: 1}),
        ({"propertyNames": {"pattern": CATASTROPHIC}}, {LONG: 1}),
        (
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "properties": {"again": {"$ref": "#"}, "a": {"pattern": CATASTROPHIC}},
            },
            {"again": {"a": LONG}},
        ),
        (
            {"properties": {"a": {"uniqueItems": True}}},
            {"a": [*({"x": number} for number in range(300)), *range(300), {"x": 7}]},
        ),
        ({"properties": {"a": {"items": {"multipleOf": 0.5}}}}, {"a": [10**99] * 300 + [0.3]}),
        ({"properties": {"a": {"items": {"enum": list(range(-3_000, 0))}}}}, {"a": list(range(990))}),
        ({"allOf": [{"$ref": "#"}]}, {}),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/filter"}},
                "$defs": {
                    "filter": {
                        "anyOf": [
                            {"properties": {"operation": {"const": name}, "of": {"items": {"$ref": "#/$defs/filter"}}}}
                            for name in ("and", "or", "not")
                        ]
                    }
                },
            },
            {"a": NESTED_OPERATIONS},
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_no_arguments_hold_up_the_other_sessions(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    reader = ArgumentsSchema({"type": "object", **schema})
    started = time.thread_time()
    with pytest.raises(ToolFailure):
        reader.read(json.dumps(arguments))
    assert time.thread_time() - started < 0.2  # about 20 ms, without the limits seconds to centuries


def test_a_pattern_is_searched_as_json_schema_has_it() -> None:
    schema = ArgumentsSchema({"type": "object", "properties": {"a": {"pattern": r"b\d"}}})
    assert schema.read('{"a": "ab1c"}') == {"a": "ab1c"}
    assert schema.read('{"a": 1}') == {"a": 1}


def test_properties_beside_patterns_are_checked() -> None:
    schema = ArgumentsSchema(
        {
            "type": "object",
            "patternProperties": {"^x-": {"type": "integer"}},
            "additionalProperties": {"type": "string"},
        }
    )
    assert schema.read('{"x-a": 1, "b": "c"}') == {"x-a": 1, "b": "c"}
    for text in ('{"x-a": "1"}', '{"b": 1}'):
        with pytest.raises(ToolFailure):
            schema.read(text)


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, True, "1", [1], [True], {"a": 1}, {"a": True}, None], True),
        ([1, 1.0], False),
        ([{"a": [1], "b": 2}, {"b": 2, "a": [1.0]}], False),
    ],
)
def test_items_are_equal_as_in_json_schema(items: list[Any], unique: bool) -> None:
    schema = ArgumentsSchema({"type": "object", "properties": {"a": {"uniqueItems": True}}})
    with contextlib.nullcontext() if unique else pytest.raises(ToolFailure, match="non-unique"):
        schema.read(json.dumps({"a": items}))


def test_five_hundred_ordinary_items_are_within_the_limits() -> None:
    item = {
        "type": "object",
        "properties": {"x": {"type": "integer", "minimum": 0}},
        "required": ["x"],
        "additionalProperties": False,
    }
    schema = ArgumentsSchema({"type": "object", "properties": {"a": {"type": "array", "items": item}}})
    arguments = {"a": [{"x": number} for number in range(490)]}
    assert schema.read(json.dumps(arguments)) == arguments
