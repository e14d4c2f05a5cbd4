import pytest

from pipeline_worker.turns.events import (
    FinishUtterance,
    RecordCaller,
    StopPressed,
    StopSpeaking,
    TextTyped,
    UtteranceEnded,
)


@pytest.mark.parametrize(
    ("event", "action"),
    [
        (StopPressed(), StopSpeaking()),
        (UtteranceEnded(1, 2), FinishUtterance(1)),
        (TextTyped("hi"), RecordCaller("hi")),
    ],
)
def test_events_of_different_types_are_not_equal(event: object, action: object) -> None:
    assert event != action
