"""Handlers for speech while the agent has the floor: is it a barge-in, a backchannel or a noise?"""

from dataclasses import replace

from pipeline_worker.turns.agent_speech import answer_instead
from pipeline_worker.turns.caller_speech import begin_utterance, drop_utterance, sustain
from pipeline_worker.turns.events import (
    CancelReply,
    DismissSpeech,
    FinalText,
    FinishUtterance,
    Input,
    InterimText,
    PauseSpeaking,
    ResumeSpeaking,
    StopSpeaking,
    TextTyped,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import Floor, Outcome, State
from pipeline_worker.turns.transitions import enter, hand_over, listen, record
from shared.audio import UPLINK_RATE, samples_in


def pause_at_onset(floor: Floor, event: UtteranceStarted) -> Outcome:
    begun = begin_utterance(floor, event)
    return begun.then(_pause) if floor.interruptible and not _may_be_echo(floor, event.at_sample) else begun


def pause_for_speech(floor: Floor, event: Input) -> Outcome:
    sustained = sustain(floor, event)
    if not floor.interruptible:
        return sustained
    return sustained.then(_pause if floor.words.decide else _interrupt)


def judge_speech(floor: Floor, event: Input) -> Outcome:
    sustained, words = sustain(floor, event), floor.words
    return sustained if words.decide and not words.claim(floor.caller.interim) else sustained.then(_take_floor)


def judge_long_speech(floor: Floor, _: Input) -> Outcome:
    """Speech that is too long for a backchannel."""
    return Outcome(floor) if floor.definition.turn_taking.barge_in_words else _take_floor(floor)


def judge_words(floor: Floor, event: InterimText) -> Outcome:
    """Ignores late words of an utterance that the stop button has ended."""
    caller = floor.caller
    if event.utterance != caller.open_utterance and event.utterance not in caller.undecided:
        return Outcome(floor)
    heard = floor.with_caller(replace(caller, interim=event.text))
    return _take_floor(heard) if caller.sustained and floor.words.claim(event.text) else Outcome(heard)


def judge_utterance(floor: Floor, event: UtteranceEnded) -> Outcome:
    """A cough is dropped; anything longer is judged by its final text."""
    if not floor.interruptible:
        return drop_utterance(floor, event)
    if not floor.caller.sustained:
        return drop_utterance(floor, event).then(_dismiss, event)
    caller = replace(floor.caller, open_utterance=None, undecided=floor.caller.undecided | {event.utterance})
    return Outcome(floor.with_caller(caller), (FinishUtterance(event.utterance),))


def judge_final_text(floor: Floor, event: FinalText) -> Outcome:
    if event.utterance not in floor.caller.undecided:
        return record(floor, event.text)
    floor = floor.with_caller(replace(floor.caller, undecided=floor.caller.undecided - {event.utterance}))
    if floor.interruptible and floor.words.claim(event.text):
        take = answer_instead if floor.state is State.THINKING else interrupt_by_text
        return take(floor, event)
    if event.text and floor.agent.complete:
        floor = floor.with_agent(floor.agent.hold(event.text))  # an early "yes" to the agent's last words is an answer
    return _dismiss(floor, event)


def resume(floor: Floor, _: Input) -> Outcome:
    return enter(floor, State.SPEAKING).do(ResumeSpeaking())


def interrupt_by_button(floor: Floor, _: Input) -> Outcome:
    """The stop button: what the caller said before it is not answered."""
    caller = replace(floor.caller, undecided=frozenset())
    return _interrupt(replace(floor, caller=caller, agent=replace(floor.agent, said_over=())))


def interrupt_by_text(floor: Floor, event: FinalText | TextTyped) -> Outcome:
    return _interrupt(floor.with_agent(floor.agent.hold(event.text)))


def hold_text(floor: Floor, event: FinalText | TextTyped) -> Outcome:
    awaited = floor.caller.awaited
    if isinstance(event, FinalText) and awaited is not None and event.utterance == awaited.utterance:
        floor = floor.with_caller(replace(floor.caller, awaited=None))
        if awaited.is_cough(event.text):
            return Outcome(floor)
    elif not event.text:
        return Outcome(floor)
    return Outcome(floor.with_agent(floor.agent.hold(event.text)))


def yield_floor(floor: Floor, _: Input) -> Outcome:
    return hand_over(floor)


def _may_be_echo(floor: Floor, at_sample: int) -> bool:
    """The agent has just become audible, and the browser's echo canceller has not adapted yet."""
    began, guard_ms = floor.agent.playout_began, floor.definition.turn_taking.echo_guard_ms
    return began is not None and 0 <= at_sample - began < samples_in(guard_ms, UPLINK_RATE)


def _pause(floor: Floor) -> Outcome:
    return enter(floor, State.PAUSED).do(PauseSpeaking())


def _take_floor(floor: Floor) -> Outcome:
    if not floor.interruptible:
        return Outcome(floor)
    if floor.state is not State.THINKING:
        return _interrupt(floor)
    unanswered = floor.with_caller(replace(floor.caller, unanswered=True))
    return Outcome(unanswered, (CancelReply(),)).then(listen)


def _interrupt(floor: Floor) -> Outcome:
    turn = floor.agent
    if turn.end_reason != "max_duration":
        turn = replace(turn, end_reason=None, is_farewell=False)  # the caller has more to say
    floor = replace(floor, caller=floor.caller.awaiting_undecided(), agent=turn)
    return Outcome(floor, (StopSpeaking(),)).then(enter, State.INTERRUPTED)


def _dismiss(floor: Floor, event: Input) -> Outcome:
    """Lets the agent continue if nothing else is undecided."""
    if floor.caller.open_utterance is not None or floor.caller.undecided:
        return Outcome(floor)
    dismissed = Outcome(floor, () if floor.agent.said_over else (DismissSpeech(),))
    return dismissed.then(resume, event) if floor.state is State.PAUSED else dismissed
