"""Handlers for the time when the caller has the floor: their utterances and typed text, up to the reply.

`table.TABLE` says which of them handles an input.
"""

from dataclasses import replace

from pipeline_worker.text.words import same_words
from pipeline_worker.turns.events import (
    DismissSpeech,
    DropUtterance,
    EndLikely,
    FinalText,
    FinishUtterance,
    Input,
    PrepareReply,
    ReleaseReply,
    TextTyped,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import AgentTurn, Awaited, Floor, Outcome, State
from pipeline_worker.turns.transitions import discard, enter, record, reply, say, think


def begin_utterance(floor: Floor, event: UtteranceStarted) -> Outcome:
    caller = replace(floor.caller, open_utterance=event.utterance, sustained=False, interim="")
    return Outcome(floor.with_caller(caller))


def sustain(floor: Floor, _: Input) -> Outcome:
    return Outcome(floor.with_caller(replace(floor.caller, sustained=True)))


def drop_utterance(floor: Floor, event: UtteranceEnded) -> Outcome:
    return Outcome(floor.with_caller(replace(floor.caller, open_utterance=None)), (DropUtterance(event.utterance),))


def transcribe(floor: Floor, event: UtteranceEnded) -> Outcome:
    prompts_said = 0 if floor.caller.sustained else floor.prompts_said
    return await_text(replace(floor, prompts_said=prompts_said), event).then(enter, State.TRANSCRIBING)


def await_text(floor: Floor, event: UtteranceEnded) -> Outcome:
    """Waits for the final text, even after a sound as short as a cough: a "yes" may be as short.

    An utterance that is still awaited counts as the beginning of this one.
    """
    earlier = floor.caller.awaited
    sustained = floor.caller.sustained or (earlier is not None and earlier.sustained)
    caller = replace(floor.caller, open_utterance=None, awaited=Awaited(event.utterance, sustained))
    return Outcome(floor.with_caller(caller), (FinishUtterance(event.utterance),))


def prepare_reply(floor: Floor, event: EndLikely) -> Outcome:
    if not floor.definition.turn_taking.speculative:
        return Outcome(floor)
    if floor.prepared is not None and same_words(floor.prepared, event.text):
        return Outcome(floor)
    discarded = discard(floor)
    return Outcome(replace(floor, prepared=event.text), discarded.actions).do(PrepareReply(event.text))


def discard_reply(floor: Floor, _: Input) -> Outcome:
    return discard(floor)


def answer_speech(floor: Floor, event: FinalText) -> Outcome:
    awaited = floor.caller.awaited
    if awaited is None or event.utterance != awaited.utterance:
        return record(floor, event.text)
    apology, unanswered = floor.definition.apology, floor.caller.unanswered
    floor = floor.with_caller(replace(floor.caller, awaited=None))
    if event.failed and apology:
        return say(floor, apology, AgentTurn())
    if not unanswered and (event.failed or awaited.is_cough(event.text)):
        return discard(floor).do(DismissSpeech()).then(enter, State.LISTENING)
    if event.text and floor.prepared is not None and same_words(floor.prepared, event.text):
        return record(replace(floor, prepared=None), event.text).then(think).do(ReleaseReply())
    return record(floor, event.text).then(reply)


def record_text(floor: Floor, event: FinalText | TextTyped) -> Outcome:
    """Records words that do not start a reply."""
    return record(floor, event.text)


def answer_typed(floor: Floor, event: TextTyped) -> Outcome:
    """Answers typed text. If the caller is speaking, text and speech are answered together."""
    recorded = record(floor, event.text)
    return recorded if floor.caller.open_utterance is not None else recorded.then(reply)


def listen_on(floor: Floor, _: Input) -> Outcome:
    """The caller had only paused: the awaited text is part of what they are saying."""
    return discard(floor.with_caller(replace(floor.caller, awaited=None))).then(enter, State.LISTENING)


def listen_on_if_allowed(floor: Floor, event: Input) -> Outcome:
    sustained = sustain(floor, event)
    return sustained.then(listen_on, event) if floor.definition.turn_taking.barge_in else sustained
