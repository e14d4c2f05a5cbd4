from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.validation_errors import advice, first_problem


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


def cure(text: str) -> str:
    content: dict[str, Any] = yaml.safe_load(text)
    with pytest.raises(ValidationError) as raised:
        Voice.model_validate({"name": "ann", **content})
    (problem,) = raised.value.errors()
    return advice(problem)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pace: 1", "no such field: remove it or correct its spelling"),
        ("name: Ann B", "'Ann B' is not allowed here: write it so that it matches ^[a-z]+$"),
        ("name: nobody", "no voice of that name: choose another"),
        ("rate: fast", "expected a number, not 'fast': write it without quotes or units"),
        ("spoken: loud", "expected a mapping, not 'loud': indent its fields below it"),
        ("words: a", "Input should be a valid tuple (found 'a')"),
        ("words: [[a]]", "Input should be a valid string (found ['a'])"),
    ],
)
def test_advice_names_the_problem_and_the_remedy(text: str, told: str) -> None:
    assert cure(text) == told


@pytest.mark.parametrize("text", ["words: [yes, 'okay']", "words: ['okay', off]", "spoken: {on: a}", "name: no"])
def test_a_word_that_yaml_reads_as_a_truth_value_belongs_in_quotes(text: str) -> None:
    assert cure(text).endswith("as truth values, not as words: put the word in quotes")


@pytest.mark.parametrize(("text", "found"), [("words: [7]", "7"), ("words: [2027-01-06]", "2027-01-06")])
def test_a_number_for_text_belongs_in_quotes(text: str, found: str) -> None:
    assert cure(text) == f"expected text, and YAML does not read {found} as text: put it in quotes"


def test_a_peer_gets_field_and_problem_without_the_value() -> None:
    with pytest.raises(ValidationError) as raised:
        Voice.model_validate({"name": "ann", "words": ["a", 5]})
    assert first_problem(raised.value) == "words.1: input should be a valid string"
