"""Whether an expectation holds at this moment of the call."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, assert_never

from callers.call_record import HEARD_RATE, CallEvent, CallRecord
from callers.likeness import compare
from callers.scenario.expectation import (
    AgentResumesWithin,
    AgentSilentWithin,
    AudibleFor,
    Ended,
    Event,
    EventMatch,
    Expectation,
    FirstAudioWithin,
    NoEvent,
    NoTranscript,
    NoWordsLost,
    Reply,
    SilentFor,
    SpokenText,
    Status,
    ToolCall,
    ToolCallMatch,
    Transcript,
    TranscriptMatch,
)
from callers.words import contains, matches
from shared.audio import Pcm

_WORD_S = 0.1
"""A shorter gap is no word."""
_MOST_OF_IT = 0.8
_SILENT_FOR_S = 0.4
"""An agent that is silent for this long has stopped. Its pauses between sentences are shorter."""
_JUST_OVER_S = 2 * _SILENT_FOR_S
"""An agent whose transcript is younger than this is not speaking, though its last sound has only just ended."""
_HOW_TURNS_END = {True: "(interrupted)", False: "(not interrupted)"}


class Moment(NamedTuple):
    """What an expectation is judged by. `since_s` is the time of the caller's last action."""

    record: CallRecord
    now_s: float
    since_s: float
    onset_s: float | None = None
    """When the sound of that action began, or the time of an action without sound."""
    end_s: float | None = None
    """When that sound ended."""
    known: Mapping[SpokenText, Pcm] = {}
    """The expected sound of each text, at `HEARD_RATE`."""


class Verdict(NamedTuple):
    """`holds` is None while it may still become true. `seconds` is the measured time."""

    holds: bool | None
    found: str = ""
    seconds: float | None = None


def judge(expectation: Expectation, moment: Moment) -> Verdict:
    record, since_s = moment.record, moment.since_s
    match expectation:
        case Transcript(transcript=wanted):
            return _words(wanted, record, since_s)
        case NoTranscript(no_transcript=unwanted):
            return _not(_words(unwanted, record, since_s))
        case Event(event=wanted_event):
            return _event(wanted_event, record.events(wanted_event.type, since_s))
        case NoEvent(no_event=unwanted_event):
            return _not(_event(unwanted_event, record.events(unwanted_event.type, since_s)))
        case ToolCall(tool_call=wanted_call):
            return _tool_call(wanted_call, record.events("tool-call", since_s))
        case Status(status=status):
            return Verdict(record.status == status or None, f"it is {record.status}")
        case Ended(ended=reason):
            if record.end_reason is None:
                return Verdict(None, "the call is still going on")
            return Verdict(record.end_reason == reason, f"it ended: {record.end_reason}")
        case Reply():
            return _reply(moment)
        case AudibleFor(audible_for=least_s):
            return _audible(moment, least_s)
        case SilentFor(silent_for=least_s):
            return Verdict(record.heard.is_silent(moment.now_s, least_s) or None, "the agent is still heard")
        case FirstAudioWithin(first_audio_within=most_s):
            return _heard_after(moment.end_s, record.heard.onset_after, most_s)
        case AgentSilentWithin(agent_silent_within=most_s):
            return _silent(moment, most_s)
        case AgentResumesWithin(agent_resumes_within=most_s):
            return _heard_after(moment.end_s, record.heard.first_after, most_s)
        case NoWordsLost(no_words_lost=spoken):
            return _no_words_lost(moment, moment.known[spoken])
    assert_never(expectation)


def _not(verdict: Verdict) -> Verdict:
    """Holds while nothing is found. A later check may differ."""
    return verdict._replace(holds=not verdict.holds)


def _words(wanted: TranscriptMatch, record: CallRecord, since_s: float) -> Verdict:
    turns = [
        (str(event.fields.get("text", "")), bool(event.fields.get("interrupted")))
        for event in record.events("transcript", since_s)
        if event.fields.get("role") == wanted.role
    ]
    said = [one for one, interrupted in turns if wanted.interrupted in (None, interrupted)]
    text = " ".join(said)
    found = bool(said)
    found = found and (wanted.contains is None or contains(text, wanted.contains))
    found = found and (wanted.matches is None or matches(text, wanted.matches))
    if turns and not said:
        return Verdict(None, " / ".join(f'"{one}" {_HOW_TURNS_END[interrupted]}' for one, interrupted in turns))
    return Verdict(found or None, " / ".join(f'"{one}"' for one in said) or "nothing was said")


def _event(wanted: EventMatch, events: list[CallEvent]) -> Verdict:
    found = any(_includes(event.fields, wanted.fields) for event in events)
    return Verdict(found or None, "; ".join(str(event.fields) for event in events) or "there was none")


def _tool_call(wanted: ToolCallMatch, events: list[CallEvent]) -> Verdict:
    found = any(
        event.fields.get("name") == wanted.name and _includes(event.fields.get("arguments") or {}, wanted.arguments)
        for event in events
    )
    return Verdict(found or None, "; ".join(str(event.fields) for event in events) or "no tool was called")


def _includes(have: Any, wanted: Any) -> bool:
    """Whether `have` contains `wanted`, in nested mappings too."""
    if isinstance(wanted, dict):
        return isinstance(have, dict) and all(name in have and _includes(have[name], wanted[name]) for name in wanted)
    return bool(have == wanted)


def _reply(moment: Moment) -> Verdict:
    replies = [
        event
        for event in moment.record.events("transcript", moment.since_s)
        if event.fields.get("role") == "agent" and not event.fields.get("interrupted")
    ]
    if not replies:
        return Verdict(None, "the agent has not finished saying anything")
    done = moment.record.status in ("listening", "ended")
    return Verdict(done or None, f"the agent is {moment.record.status}")


def _audible(moment: Moment, least_s: float) -> Verdict:
    heard, now_s = moment.record.heard, moment.now_s
    sound_s = heard.sound_s(moment.since_s)
    silent = heard.is_silent(now_s, _SILENT_FOR_S)
    recorded = moment.record.events("transcript", now_s - _JUST_OVER_S)
    silent = silent or any(event.fields.get("role") == "agent" for event in recorded)
    found = f"{sound_s:.2f} s were heard" + (", and the agent is silent" if silent else "")
    return Verdict((sound_s >= least_s and not silent) or None, found)


def _heard_after(end_s: float | None, find: Callable[[float], float | None], most_s: float) -> Verdict:
    if end_s is None:
        return Verdict(False, "the caller did nothing before")
    heard_s = find(end_s)
    if heard_s is None:
        return Verdict(None, "the agent was not heard")
    return _within(heard_s - end_s, most_s)


def _silent(moment: Moment, most_s: float) -> Verdict:
    if moment.onset_s is None:
        return Verdict(False, "the caller made no sound before")
    silent = moment.record.heard.silent_from(moment.onset_s, moment.now_s, _SILENT_FOR_S)
    if silent is None:
        return Verdict(None, "the agent is still speaking")
    return _within(silent - moment.onset_s, most_s)


def _no_words_lost(moment: Moment, known: Pcm) -> Verdict:
    heard, now_s = moment.record.heard, moment.now_s
    if not _reply(moment).holds or not heard.is_silent(now_s, _SILENT_FOR_S):
        return Verdict(None, "the agent has not finished it")
    found, gaps = compare(known, heard.samples(moment.since_s), HEARD_RATE)
    if found < _MOST_OF_IT:
        return Verdict(False, f"only {found:.0%} of its sound was heard")
    wrong = [
        f"{abs(gap.surplus_s):.2f} s {'too much' if gap.surplus_s > 0 else 'missing'} at {gap.at_s:.1f} s"
        for gap in gaps
        if abs(gap.surplus_s) > _WORD_S
    ]
    return Verdict(not wrong, "; ".join(wrong))


def _within(seconds: float, most_s: float) -> Verdict:
    return Verdict(seconds <= most_s, f"{seconds * 1000:.0f} ms", seconds)
