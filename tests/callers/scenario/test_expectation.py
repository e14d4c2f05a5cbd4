from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from callers.scenario.expectation import Expectation, FirstAudioWithin, Reply, Transcript

read = TypeAdapter[Expectation](Expectation).validate_python


@pytest.mark.parametrize(("written", "seconds"), [("2s", 2.0), ("1.5 s", 1.5), ("300ms", 0.3)])
def test_a_time_has_a_unit(written: str, seconds: float) -> None:
    assert read({"first_audio_within": written}) == FirstAudioWithin.model_construct(first_audio_within=seconds)


@pytest.mark.parametrize("written", [2, "2", "fast", "-1s", "2h", "1000s"])
def test_a_time_without_a_unit_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        read({"first_audio_within": written})


def test_a_verb_may_stand_alone_or_have_a_deadline() -> None:
    assert isinstance(read("reply"), Reply)
    assert read({"reply": True, "within": "3s"}).within == 3.0


@pytest.mark.parametrize("written", ["listen", {}, {"reply": True, "status": "listening"}, 7, {"within": "3s"}])
def test_the_error_for_no_verb_or_two_lists_the_verbs(written: Any) -> None:
    with pytest.raises(ValidationError, match="exactly one of these words: transcript, no_transcript, event"):
        read(written)


def test_it_is_described_as_it_is_written() -> None:
    transcript = read({"transcript": {"role": "user", "contains": "hello"}})
    assert isinstance(transcript, Transcript)
    assert transcript.describe() == "transcript {'role': 'user', 'contains': 'hello'}"
    assert transcript.limit_s is None
    first_audio = read({"first_audio_within": "300ms"})
    assert (first_audio.describe(), first_audio.limit_s) == ("first_audio_within 0.3 s", 0.3)
    assert read("reply").describe() == "reply"
    assert read({"ended": "agent_hangup"}).describe() == "ended agent_hangup"
