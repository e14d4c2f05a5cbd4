"""Handlers for the agent's turn: greeting, prompts, replies, and the end of the session's time."""

from dataclasses import replace

from pipeline_worker.turns.events import (
    CancelReply,
    FinalText,
    Input,
    PauseSpeaking,
    PlayoutBegan,
    ReplyFinished,
    ResumeSpeaking,
    TextTyped,
)
from pipeline_worker.turns.state import AgentTurn, Floor, IllegalInput, Outcome, State
from pipeline_worker.turns.transitions import close, end, enter, hand_over, listen, record, reply, say


def greet(floor: Floor, _: Input) -> Outcome:
    greeting = floor.definition.greeting
    if greeting is None:
        return enter(floor, State.LISTENING)
    return say(floor, greeting.text, AgentTurn(greeting.interruptible))


def prompt(floor: Floor, _: Input) -> Outcome:
    """Prompts a silent caller. After the last prompt, ends the session."""
    prompts = floor.definition.idle.prompts
    if floor.prompts_said == len(prompts):
        return close(floor, "user_idle")
    return say(replace(floor, prompts_said=floor.prompts_said + 1), prompts[floor.prompts_said], AgentTurn())


def speak(floor: Floor, _: Input) -> Outcome:
    """The first audio is ready. If the caller has begun to speak meanwhile, it waits."""
    caller = floor.caller
    if (caller.open_utterance is not None or caller.undecided) and floor.interruptible:
        return enter(floor, State.PAUSED).do(PauseSpeaking())
    return enter(floor, State.SPEAKING)


def note_playout(floor: Floor, event: PlayoutBegan) -> Outcome:
    return Outcome(floor.with_agent(replace(floor.agent, playout_began=event.at_sample)))


def complete(floor: Floor, event: ReplyFinished) -> Outcome:
    end_reason = floor.agent.end_reason or ("agent_hangup" if event.end_call else None)
    return Outcome(floor.with_agent(replace(floor.agent, complete=True, end_reason=end_reason)))


def complete_silently(floor: Floor, event: ReplyFinished) -> Outcome:
    """A reply without audio."""
    return end(floor, "agent_hangup") if event.end_call else listen(floor)


def finish_turn(floor: Floor, event: Input) -> Outcome:
    if not floor.agent.complete:
        raise IllegalInput(f"{type(event).__name__} before the end of the reply")
    resumed = (ResumeSpeaking(over=True),) if floor.state is State.PAUSED else ()
    return Outcome(floor, resumed).then(hand_over)


def cancel_reply(floor: Floor, _: Input) -> Outcome:
    """The stop button: what the caller said before it is not answered."""
    cancelled = Outcome(floor.with_caller(replace(floor.caller, undecided=frozenset())), (CancelReply(),))
    return cancelled.then(enter, State.LISTENING)


def answer_instead(floor: Floor, event: FinalText | TextTyped) -> Outcome:
    return Outcome(floor, (CancelReply(),)).then(record, event.text).then(reply)


# Time is up


def end_at_once(floor: Floor, _: Input) -> Outcome:
    return end(floor, "max_duration")


def end_listening(floor: Floor, _: Input) -> Outcome:
    return close(floor.with_caller(replace(floor.caller, awaited=None)), "max_duration")


def end_without_reply(floor: Floor, _: Input) -> Outcome:
    return Outcome(floor, (CancelReply(),)).then(close, "max_duration")


def end_after_turn(floor: Floor, _: Input) -> Outcome:
    return Outcome(floor.with_agent(replace(floor.agent, end_reason="max_duration")))
