"""Sentences to a small restaurant on Wednesday, 2 December 2026."""

from datetime import date
from typing import Any

import pytest

from pipeline_worker.engines.scripted.interpreter import DialogueContext, Interpreter, Meaning
from pipeline_worker.engines.scripted.script import NO, YES, Script
from pipeline_worker.turns.backchannels import usual
from tests.pipeline_worker.engines.scripted.scripts import RESTAURANT

TODAY = date(2026, 12, 2)
FRIDAY = date(2026, 12, 4)
BOOKED = (("party_size", 2), ("day", FRIDAY), ("time", 19 * 60), ("name", "Miller"))


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return Interpreter(Script.model_validate(RESTAURANT), usual("en"))


@pytest.mark.parametrize(
    ("text", "intent", "values"),
    [
        ("When are you open?", "hours", {}),
        ("WHEN ARE YOU OPEN", "hours", {}),
        ("Could you tell me your opening hours, please?", "hours", {}),
        ("I'd like to reserve a table.", "booking", {}),
        ("Um, well, could you fit in two people on Friday?", "booking", {"party_size": 2, "day": FRIDAY}),
        ("Two people on Friday.", None, {"party_size": 2, "day": FRIDAY}),
        ("Do you have anything with salmon?", "menu", {"diet": "fish"}),
        ("Forget about it.", "cancel", {}),
        ("What did you just say?", "repeat", {}),
        ("Goodbye then.", "goodbye", {}),
        ("Reserve me a seat on the train to Rome.", None, {}),
        ("What is the capital of France?", None, {}),
        ("I don't understand.", None, {}),
        ("Yes.", None, {}),
        ("", None, {}),
        ("?!", None, {}),
    ],
)
def test_a_first_sentence(interpreter: Interpreter, text: str, intent: str | None, values: dict[str, Any]) -> None:
    meaning = interpreter.interpret(text, DialogueContext(), TODAY)
    assert (meaning.intent, dict(meaning.values)) == (intent, values)


@pytest.mark.parametrize(
    ("text", "intent"),
    [("Yes, please.", YES), ("okay", YES), ("No.", NO), ("That's wrong.", NO), ("When are you open?", "hours")],
)
def test_an_answer_to_what_was_read_back(interpreter: Interpreter, text: str, intent: str) -> None:
    assert interpreter.interpret(text, DialogueContext("booking", BOOKED, confirming=True), TODAY).intent == intent


@pytest.mark.parametrize(
    ("asked", "text", "values"),
    [
        ("party_size", "Seven.", {"party_size": 7}),
        ("time", "Seven.", {"time": 19 * 60}),
        ("time", "Let's say seven.", {"time": 19 * 60}),
        ("day", "The fourth.", {"day": FRIDAY}),
        ("name", "Miller.", {"name": "Miller"}),
    ],
)
def test_an_answer_to_a_question(interpreter: Interpreter, asked: str, text: str, values: dict[str, Any]) -> None:
    assert interpreter.interpret(text, DialogueContext("booking", (), asked), TODAY).values == values


def test_a_backchannel_asks_for_nothing(interpreter: Interpreter) -> None:
    for text in ("okay", "uh-huh"):
        assert interpreter.interpret(text, DialogueContext("booking", (), "time"), TODAY) == Meaning(
            None, is_backchannel=True
        )


def test_the_place_decides_which_question_goes_on(interpreter: Interpreter) -> None:
    assert interpreter.interpret("And on Friday?", DialogueContext(aside="hours"), TODAY).intent == "hours"
    assert interpreter.interpret("And on Friday?", DialogueContext("booking", (), "day"), TODAY).intent != "hours"


def test_of_an_endless_sentence_only_the_beginning_counts(interpreter: Interpreter) -> None:
    sentence = "a table for four please and " + "well " * 50
    assert interpreter.interpret(sentence + "for seven", DialogueContext(), TODAY).values == {"party_size": 4}
