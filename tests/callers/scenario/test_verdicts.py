from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from callers.call_record import HEARD_RATE, CallRecord
from callers.scenario.expectation import Expectation, NoWordsLost
from callers.scenario.verdicts import Moment, Verdict, judge

FRAME = HEARD_RATE // 50
read = TypeAdapter[Expectation](Expectation).validate_python


class Call:
    """A call of which everything is known. The caller spoke from 10 to 11 s."""

    def __init__(self) -> None:
        self.record = CallRecord(0.0)

    def event(self, at_s: float, event_type: str, **fields: Any) -> "Call":
        self.record.take(at_s, {"type": event_type, **fields})
        return self

    def agent_heard(self, begin_s: float, end_s: float) -> "Call":
        tone = (8_000 * np.sin(np.arange(FRAME) / 3)).astype(np.int16)
        for index in range(round((end_s - begin_s) * 50)):
            at_s = begin_s + index * 0.02
            self.record.heard.add(at_s, tone, at_s)
        return self

    def judge(self, expectation: Any, now_s: float = 20.0) -> Verdict:
        moment = Moment(self.record, now_s, since_s=9.9, onset_s=10.0, end_s=11.0)
        return judge(read(expectation), moment)


def said(role: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"transcript": {"role": role, "contains": text, **fields}}


def test_transcripts_count_by_role_and_since_the_callers_last_action() -> None:
    call = Call().event(5, "transcript", role="agent", text="Hello.")
    assert call.judge(said("agent", "hello")) == Verdict(None, "nothing was said")
    call.event(12, "transcript", role="user", text="A table").event(13, "transcript", role="user", text="for two.")
    assert call.judge(said("user", "table for two")).holds
    assert call.judge(said("user", "table for four")) == Verdict(None, '"A table" / "for two."')
    assert call.judge({"transcript": {"role": "user", "matches": "a for"}}).holds
    assert call.judge({"no_transcript": {"role": "agent"}}).holds
    assert call.judge({"no_transcript": {"role": "user", "contains": "two"}}).holds is False


def test_interrupted_and_complete_turns_are_told_apart() -> None:
    call = Call().event(12, "transcript", role="agent", text="We have", interrupted=True)
    assert call.judge(said("agent", "we have", interrupted=True)).holds
    whole = call.judge(said("agent", "we have", interrupted=False))
    assert whole == Verdict(None, '"We have" (interrupted)')
    assert call.judge("reply").holds is None


def test_a_reply_is_over_when_the_agent_listens_again() -> None:
    call = Call().event(12, "status", status="speaking").event(13, "transcript", role="agent", text="Yes.")
    assert call.judge("reply") == Verdict(None, "the agent is speaking")
    call.event(13, "status", status="listening")
    assert call.judge("reply").holds
    assert call.judge({"status": "listening"}).holds
    assert call.judge({"status": "thinking"}) == Verdict(None, "it is listening")


def test_events_and_tool_calls_have_at_least_the_expected_fields() -> None:
    call = Call().event(12, "tool-call", name="book", arguments={"day": {"name": "friday", "week": 3}, "people": 2})
    assert call.judge({"tool_call": {"name": "book"}}).holds
    assert call.judge({"tool_call": {"name": "book", "arguments": {"day": {"name": "friday"}}}}).holds
    assert call.judge({"tool_call": {"name": "book", "arguments": {"people": 3}}}).holds is None
    assert call.judge({"tool_call": {"name": "cancel"}}).holds is None
    assert call.judge({"event": {"type": "tool-call", "fields": {"name": "book"}}}).holds
    assert call.judge({"event": {"type": "error"}}) == Verdict(None, "there was none")
    assert call.judge({"no_event": {"type": "error"}}).holds
    assert call.judge({"no_event": {"type": "tool-call"}}).holds is False


def test_the_end_must_have_the_expected_reason() -> None:
    call = Call()
    assert call.judge({"ended": "agent_hangup"}) == Verdict(None, "the call is still going on")
    call.event(12, "status", status="ended", reason="hangup")
    assert call.judge({"ended": "hangup"}).holds
    assert call.judge({"ended": "agent_hangup"}) == Verdict(False, "it ended: hangup")


@pytest.mark.parametrize(("limit", "holds"), [("800ms", True), ("600ms", False)])
def test_first_audio_counts_from_the_end_of_the_callers_sound(limit: str, holds: bool) -> None:
    call = Call().agent_heard(8, 10.2)
    assert call.judge({"first_audio_within": limit}) == Verdict(None, "the agent was not heard")
    verdict = call.agent_heard(11.7, 12.5).judge({"first_audio_within": limit})
    assert verdict.holds is holds
    assert verdict.seconds == pytest.approx(0.7)


@pytest.mark.parametrize(("limit", "holds"), [("300ms", True), ("200ms", False)])
def test_falling_silent_counts_from_the_onset_of_the_callers_sound(limit: str, holds: bool) -> None:
    call = Call().agent_heard(8, 10.24)
    assert call.judge({"agent_silent_within": limit}, now_s=10.5) == Verdict(None, "the agent is still speaking")
    verdict = call.judge({"agent_silent_within": limit}, now_s=10.7)
    assert verdict.holds is holds
    assert verdict.seconds == pytest.approx(0.24)


def test_an_agent_that_goes_on_after_a_pause_between_words_has_not_stopped() -> None:
    call = Call().agent_heard(8, 10.2).agent_heard(10.4, 13)
    assert call.judge({"agent_silent_within": "1s"}, now_s=13.01).holds is None
    assert call.judge({"agent_silent_within": "1s"}, now_s=14).holds is False


def test_resuming_counts_from_the_end_of_the_callers_sound() -> None:
    call = Call().agent_heard(8, 10.2)
    assert call.judge({"agent_resumes_within": "1s"}) == Verdict(None, "the agent was not heard")
    assert call.agent_heard(11.5, 13).judge({"agent_resumes_within": "1s"}).seconds == pytest.approx(0.5)


def test_an_agent_whose_turn_was_just_recorded_cannot_be_interrupted_any_more() -> None:
    call = Call().agent_heard(10, 11).event(11.02, "transcript", role="agent", text="We are open.")
    assert call.judge({"audible_for": "900ms"}, now_s=11.1).holds is None
    assert call.agent_heard(12, 13).judge({"audible_for": "900ms"}, now_s=13.1).holds


def test_audible_for_and_silent_for_take_their_time() -> None:
    call = Call().agent_heard(10, 11)
    assert call.judge({"audible_for": "900ms"}, now_s=11.1).holds
    assert call.judge({"audible_for": "1.2s"}, now_s=11.1) == Verdict(None, "1.00 s were heard")
    assert call.judge({"audible_for": "900ms"}, now_s=12) == Verdict(None, "1.00 s were heard, and the agent is silent")
    assert call.judge({"silent_for": "1s"}, now_s=11.5).holds is None
    assert call.judge({"silent_for": "1s"}, now_s=12.1).holds


def test_an_incomplete_sound_of_a_text_fails_with_the_share_that_was_heard() -> None:
    noise = (np.random.default_rng(1).standard_normal(2 * HEARD_RATE) * 3_000).astype(np.int16)
    expected = read({"no_words_lost": {"text": "Hello."}})
    assert isinstance(expected, NoWordsLost)

    def verdict(until: int) -> Verdict:
        call = Call()
        for at in range(0, until, FRAME):
            call.record.heard.add(at / HEARD_RATE, noise[at : at + FRAME], 10 + at / HEARD_RATE)
        moment = Moment(call.record, 20.0, since_s=9.9, known={expected.no_words_lost: noise})
        assert judge(expected, moment).holds is None
        call.event(12, "transcript", role="agent", text="Hello.").event(12, "status", status="listening")
        return judge(expected, moment)

    assert verdict(len(noise)).holds
    short = verdict(HEARD_RATE)
    assert short.holds is False
    assert short.found == "only 50% of its sound was heard"


def test_a_time_limit_without_an_action_before_it_fails() -> None:
    moment = Moment(CallRecord(0.0), 20.0, since_s=0.0)
    for verb in ("first_audio_within", "agent_silent_within", "agent_resumes_within"):
        assert judge(read({verb: "1s"}), moment).holds is False
