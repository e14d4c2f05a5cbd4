"""Sentences to a small restaurant on Wednesday, 2 December 2026."""

from datetime import date

import pytest

from pipeline_worker.engines.scripted.mentions import mentions_in
from pipeline_worker.engines.scripted.script import Script
from tests.pipeline_worker.engines.scripted.scripts import RESTAURANT

TODAY = date(2026, 12, 2)
SLOTS = Script.model_validate(RESTAURANT).slots


def mentioned(sentence: str, asked: str | None = None, **known: object) -> list[str]:
    """The slots from left to right; denied ones have a minus."""
    return [f"{'-' * one.denied}{one.slot}" for one in mentions_in(sentence, SLOTS, asked, known, TODAY)]


@pytest.mark.parametrize(
    ("sentence", "slots"),
    [
        ("for 2 on friday at 7", ["party_size", "day", "time"]),
        ("at 7 on friday for 2", ["time", "day", "party_size"]),
        ("on the 4th at 4 for 4", ["day", "time", "party_size"]),
        ("half past 7", ["time"]),
        ("not friday but saturday", ["-day", "day"]),
        ("saturday instead of friday", ["day", "-day"]),
        ("from friday to saturday", ["-day", "day"]),
        ("hello", []),
    ],
)
def test_no_two_values_are_in_one_place(sentence: str, slots: list[str]) -> None:
    assert mentioned(sentence) == slots


@pytest.mark.parametrize(
    ("sentence", "asked", "known", "slots"),
    [
        ("5", "party_size", {}, ["party_size"]),
        ("5", "time", {}, ["time"]),
        ("5", "day", {}, ["day"]),
        ("5", None, {}, ["party_size"]),
        ("for 4, no, 5", None, {}, ["party_size", "party_size"]),
        ("at 7, no, 8", None, {}, ["time", "time"]),
        ("not 7, 6", None, {"time": 19 * 60, "party_size": 2}, ["-time", "time"]),
        ("not 2, 3", None, {"time": 19 * 60, "party_size": 2}, ["-party_size", "party_size"]),
    ],
)
def test_the_slot_of_a_bare_number(
    sentence: str, asked: str | None, known: dict[str, object], slots: list[str]
) -> None:
    assert mentioned(sentence, asked, **known) == slots
