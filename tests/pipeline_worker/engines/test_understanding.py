import pytest

from pipeline_worker.engines.script import Script
from pipeline_worker.engines.understanding import Understanding, normalised
from tests.fakes.scripts import SCRIPT

understanding = Understanding(Script.model_validate(SCRIPT))


@pytest.mark.parametrize(
    ("text", "intent", "slots"),
    [
        ("when are you open", "hours", {}),
        ("When are you OPEN?", "hours", {}),
        ("your opening hours please", "hours", {}),
        ("openning hours", "hours", {}),
        ("book a table", "book", {}),
        ("book a table for seven at seven", "book", {"size": "seven", "time": "at seven"}),
        (
            "I'd like to book a table for 2 people at 7:30 pm, please!",
            "book",
            {"size": "two", "time": "at half past seven"},
        ),
        ("table for a couple", "book", {"size": "two"}),
        ("half past seven", None, {"time": "at half past seven"}),
        ("at 7 o'clock", None, {"time": "at seven"}),
        ("what is the capital of france", None, {}),
        ("when", None, {}),
        ("", None, {}),
        ("?!", None, {}),
    ],
)
def test_meaning(text: str, intent: str | None, slots: dict[str, str]) -> None:
    assert understanding.understand(text) == (intent, slots)


def test_the_question_that_was_asked_decides_what_a_number_is() -> None:
    assert understanding.understand("seven", "time").slots == {"time": "at seven"}
    assert understanding.understand("seven", "size").slots == {"size": "seven"}
    assert understanding.understand("make it 7 then", "time").slots == {"time": "at seven"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("At 7:30 P.M.!", "at seven thirty "),
        ("19:30", "seven thirty "),
        ("7:00", "seven "),
        ("7pm", "seven "),
        ("20 people", "twenty people "),
        ("42", "forty two "),
        ("half-past", "half past "),
        ("What’s up", "what's up "),
        ("I am 7", "i am seven "),
        ("room 99", "room "),
        ("", ""),
    ],
)
def test_typed_text_is_written_as_it_is_spoken(text: str, words: str) -> None:
    assert normalised(text) == words
