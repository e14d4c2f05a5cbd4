from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.field_mistakes import field_mistakes


class Voice(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern="^[a-z]+$")
    rate: int = 165
    words: tuple[str, ...] = ()
    spoken: dict[str, str] = {}

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name == "nobody":
            raise ValueError("no voice of that name: choose another")
        return name


def mistakes(text: str, root: str = "") -> list[tuple[str, str]]:
    content: dict[str, Any] = yaml.safe_load(text)
    with pytest.raises(ValidationError) as raised:
        Voice.model_validate({"name": "ann", **content})
    return list(field_mistakes(raised.value, root))


@pytest.mark.parametrize(
    ("text", "place", "cure"),
    [
        ("pace: 1", "pace", "no such field: remove it or correct its spelling"),
        ("name: Ann B", "name", "'Ann B' is not allowed: it must match ^[a-z]+$"),
        ("name: nobody", "name", "no voice of that name: choose another"),
        ("rate: fast", "rate", "expected a number, found 'fast': write it without quotes or units"),
        ("spoken: loud", "spoken", "expected a mapping, found 'loud': indent its fields below it"),
        ("words: a", "words", "Input should be a valid tuple (found 'a')"),
        ("words: [a, [b]]", "words[2]", "Input should be a valid string (found ['b'])"),
    ],
)
def test_a_mistake_has_a_place_and_a_cure(text: str, place: str, cure: str) -> None:
    assert mistakes(text) == [(place, cure)]


def test_places_are_within_what_they_are_part_of() -> None:
    found = mistakes("{pace: 1, words: [yes]}", root="voices[2]")
    assert [place for place, _ in found] == ["voices[2].words[1]", "voices[2].pace"]


@pytest.mark.parametrize("text", ["words: [yes, 'okay']", "words: ['okay', off]", "spoken: {on: a}", "name: no"])
def test_a_yes_without_quotes_is_not_told_as_an_invalid_string_found_true(text: str) -> None:
    ((_, cure),) = mistakes(text)
    assert cure.endswith("as booleans: put the word in quotes")


@pytest.mark.parametrize(("text", "found"), [("words: [7]", "7"), ("words: [2027-01-06]", "2027-01-06")])
def test_a_number_for_text_belongs_in_quotes(text: str, found: str) -> None:
    assert mistakes(text) == [("words[1]", f"expected text, and YAML does not read {found} as text: put it in quotes")]
