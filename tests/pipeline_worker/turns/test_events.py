import dataclasses
from typing import get_args

import pytest

from pipeline_worker.turns.events import (
    Action,
    FinishUtterance,
    Input,
    RecordCaller,
    StopPressed,
    StopSpeaking,
    TextTyped,
    UtteranceEnded,
)


@pytest.mark.parametrize(
    ("fact", "command"),
    [
        (StopPressed(), StopSpeaking()),
        (UtteranceEnded(1, 2), FinishUtterance(1)),
        (TextTyped("hi"), RecordCaller("hi")),
    ],
)
def test_what_differs_in_name_only_is_not_equal(fact: object, command: object) -> None:
    assert fact != command


def test_nothing_is_both_a_fact_and_a_command() -> None:
    assert not set(get_args(Input)) & set(get_args(Action))


@pytest.mark.parametrize(
    "event_type", [*get_args(Input), *get_args(Action)], ids=lambda event_type: event_type.__name__
)
def test_events_do_not_change(event_type: type) -> None:
    event = event_type(*[1 for _ in dataclasses.fields(event_type)])
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        event.anything = 2
