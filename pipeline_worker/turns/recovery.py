"""How a session goes on with another pipeline worker: who had the floor, and what is still to be said."""

from dataclasses import replace

from pipeline_worker.turns.agent_speech import greet
from pipeline_worker.turns.conversation import ToolUse, Utterance
from pipeline_worker.turns.events import ResumeTurn, TakenOver
from pipeline_worker.turns.memory import Memory, Past
from pipeline_worker.turns.state import Floor, Outcome, State
from pipeline_worker.turns.transitions import enter, hand_over, reply

_UNKNOWN_RESULT = "Unknown: the worker was restarted while it ran. Do not repeat it without asking."


def lost_tool_uses(memory: Memory) -> list[ToolUse]:
    """The model must not call these tools again: nobody knows what they did."""
    return [ToolUse(call, _UNKNOWN_RESULT) for call in memory.tools]


def unpublished(past: Past, published: int) -> list[Utterance]:
    """What was recorded, but not published: `published` events have arrived."""
    missing = sum(number > published for number in past.memory.transcripts)
    utterances = [entry for entry in past.entries if isinstance(entry, Utterance)]
    return utterances[len(utterances) - missing :]


def taken_over(past: Past, heard: str, rest: str) -> TakenOver:
    """`heard` is what the caller has heard of the agent's last turn, `rest` the rest of its text as far as it is
    known."""
    turn = past.memory.turn
    if turn is None:
        return TakenOver(began=bool(past.entries), unanswered=_is_unanswered(past))
    asks_again = turn.is_answer and not turn.complete and not turn.interrupted
    continues = asks_again and past.memory.waits_for_tools and bool(heard)
    if asks_again and not heard:
        return TakenOver(began=True, unanswered=True)
    if not (heard or rest or turn.interrupted):
        return TakenOver(began=bool(past.entries), unanswered=_is_unanswered(past))
    return TakenOver(
        began=True,
        has_turn=True,
        rest="" if turn.interrupted else rest,
        continues=continues,
        end_reason="agent_hangup" if turn.end_call and not turn.interrupted else None,
    )


def carry_on(floor: Floor, event: TakenOver) -> Outcome:
    """An unfinished turn of the agent goes on after the last word that was heard."""
    if not event.has_turn:
        if event.unanswered:
            return reply(floor)
        return enter(floor, State.LISTENING) if event.began else greet(floor, event)
    floor = floor.with_agent(replace(floor.agent, end_reason=floor.agent.end_reason or event.end_reason))
    if event.rest or event.continues:
        return enter(floor, State.SPEAKING).do(ResumeTurn(event.rest, event.continues))
    return hand_over(floor)


def _is_unanswered(past: Past) -> bool:
    match past.entries[-1] if past.entries else None:
        case Utterance(role="user") | ToolUse():
            return not past.memory.answered
    return False
