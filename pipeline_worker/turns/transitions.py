"""Steps that handlers share."""

from dataclasses import replace

from pipeline_worker.turns.events import (
    DiscardReply,
    EndSession,
    PublishStatus,
    RecordAgent,
    RecordCaller,
    Say,
    StartReply,
)
from pipeline_worker.turns.state import AgentTurn, Floor, Outcome, State
from shared.events import StatusWord

_STATUS: dict[State, StatusWord] = {
    State.LISTENING: "listening",
    State.TRANSCRIBING: "thinking",
    State.THINKING: "thinking",
    State.SPEAKING: "speaking",
    State.PAUSED: "speaking",
    State.INTERRUPTED: "listening",
}


def enter(floor: Floor, state: State) -> Outcome:
    status = _STATUS[state]
    entered = Outcome(replace(floor, state=state))
    return entered if status == _STATUS.get(floor.state) else entered.do(PublishStatus(status))


def discard(floor: Floor) -> Outcome:
    """Discards the prepared reply, if there is one."""
    return Outcome(floor) if floor.prepared is None else Outcome(replace(floor, prepared=None), (DiscardReply(),))


def record(floor: Floor, text: str) -> Outcome:
    """Adds what the caller said to the conversation. A prepared reply is discarded: it does not answer `text`."""
    if not text:
        return Outcome(floor)
    caller = replace(floor.caller, unanswered=True)
    return discard(replace(floor, caller=caller, prompts_said=0)).do(RecordCaller(text))


def think(floor: Floor) -> Outcome:
    """A reply begins, which answers everything that the caller has said so far."""
    caller = replace(floor.caller, awaited=None, unanswered=False)
    return discard(replace(floor, caller=caller, agent=AgentTurn())).then(enter, State.THINKING)


def reply(floor: Floor) -> Outcome:
    return think(floor).do(StartReply())


def say(floor: Floor, text: str, turn: AgentTurn) -> Outcome:
    return discard(replace(floor, agent=turn)).then(enter, State.SPEAKING).do(Say(text))


def listen(floor: Floor, answer: bool = False) -> Outcome:
    """The agent has given up the floor. What the caller said over it is answered, unless they are still speaking.

    `answer`: some of those words were already recorded.
    """
    caller = floor.caller.awaiting_undecided()
    if caller.open_utterance is not None and caller.sustained:
        caller = replace(caller, awaited=None)  # answered together with the open utterance
    elif caller.awaited is not None:
        return enter(floor.with_caller(caller), State.TRANSCRIBING)
    elif answer:
        return reply(floor.with_caller(caller))
    return enter(floor.with_caller(caller), State.LISTENING)


def hand_over(floor: Floor) -> Outcome:
    """Ends the agent's turn, whether it was completed or interrupted."""
    turn = floor.agent
    unanswered = floor.caller.unanswered or bool(turn.said_over)  # also if no words were understood
    outcome = Outcome(floor.with_caller(replace(floor.caller, unanswered=unanswered)), (RecordAgent(),))
    for text in turn.said_over:
        outcome = outcome.then(record, text)
    if turn.end_reason is not None:
        return outcome.then(close, turn.end_reason)
    return outcome.then(listen, answer=bool(turn.said_over))


def close(floor: Floor, reason: str) -> Outcome:
    """Ends the session, after the farewell if there is one that was not said yet."""
    definition = floor.definition
    farewell = {"max_duration": definition.limits.farewell, "user_idle": definition.idle.farewell}.get(reason)
    if not farewell or floor.agent.is_farewell:
        return end(floor, reason)
    return say(floor, farewell, AgentTurn(reason == "user_idle", end_reason=reason, is_farewell=True))


def end(floor: Floor, reason: str) -> Outcome:
    return discard(replace(floor, state=State.ENDED)).do(EndSession(reason))
