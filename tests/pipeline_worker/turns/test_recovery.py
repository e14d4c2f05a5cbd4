"""Who has the floor after a takeover, and what is still said."""

from dataclasses import replace

import pytest

from pipeline_worker.turns.conversation import Entry, ToolCall, ToolUse, Utterance
from pipeline_worker.turns.events import (
    Action,
    EndSession,
    FinalText,
    PlayoutFinished,
    RecordAgent,
    RecordCaller,
    ReplyFinished,
    ResumeTurn,
    Say,
    StartReply,
)
from pipeline_worker.turns.memory import Memory, Past, TurnMemory
from pipeline_worker.turns.recovery import lost_tool_uses, taken_over, unpublished
from pipeline_worker.turns.state import AgentTurn, State
from pipeline_worker.turns.table import TurnTaking
from tests.pipeline_worker.turns.scenarios import AGENT, GREETING, LISTENING, SPEAKING, THINKING, play

ASKED = Utterance("user", "when do you open")
ANSWERED = Utterance("agent", "At ten.")
BOOK = ToolCall("1", "book", "{}")
TURN = TurnMemory(sample_rate=16_000, language="en", complete=True)


def carried_on(
    *entries: Entry,
    turn: TurnMemory | None = None,
    heard: str = "",
    rest: str = "",
    agent: AgentTurn = AgentTurn(),  # noqa: B008 (immutable)
    waits_for_tools: bool = False,
    answered: bool = False,
) -> tuple[TurnTaking, list[Action]]:
    memory = Memory(epoch=1, turn=turn, agent=agent, prompts_said=1, waits_for_tools=waits_for_tools, answered=answered)
    turns = TurnTaking(AGENT.model_copy(update={"greeting": GREETING}), memory)
    return turns, play(turns, taken_over(Past(entries, memory), heard, rest))


def test_if_nothing_was_ever_said_the_agent_greets() -> None:
    turns, actions = carried_on()
    assert (turns.state, actions) == (State.SPEAKING, [SPEAKING, Say(GREETING.text)])


def test_if_nobody_was_speaking_the_agent_listens_and_does_not_greet_again() -> None:
    turns, actions = carried_on(ASKED, ANSWERED)
    assert (turns.state, actions) == (State.LISTENING, [LISTENING])
    assert turns.floor.prompts_said == 1


@pytest.mark.parametrize("entries", [(ASKED,), (ASKED, ToolUse(BOOK, "booked"))], ids=["words", "a tool's result"])
def test_the_callers_last_words_are_answered(entries: tuple[Entry, ...]) -> None:
    turns, actions = carried_on(*entries)
    assert (turns.state, actions) == (State.THINKING, [THINKING, StartReply()])


def test_words_whose_answer_the_caller_has_stopped_are_not_answered() -> None:
    turns, actions = carried_on(ASKED, answered=True)
    assert (turns.state, actions) == (State.LISTENING, [LISTENING])


@pytest.mark.parametrize("rest", ["", "We open"])
def test_an_answer_of_which_nothing_was_heard_and_not_all_is_known_is_given_again(rest: str) -> None:
    for entries in [(ASKED,), (ASKED, ANSWERED)]:  # with the second, the question was not understood
        turns, actions = carried_on(*entries, turn=replace(TURN, complete=False), rest=rest)
        assert (turns.state, actions) == (State.THINKING, [THINKING, StartReply()])


@pytest.mark.parametrize("complete", [True, False])
def test_the_rest_of_the_agents_turn_is_said(complete: bool) -> None:
    turns, actions = carried_on(ASKED, turn=replace(TURN, complete=complete), heard="We open", rest="at ten.")
    assert (turns.state, actions) == (State.SPEAKING, [SPEAKING, ResumeTurn("at ten.", answer=False)])
    assert play(turns, ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]


def test_a_turn_that_was_heard_to_its_end_during_the_takeover_is_recorded() -> None:
    turns, actions = carried_on(ASKED, turn=TURN, heard="We open at ten.")
    assert (turns.state, actions) == (State.LISTENING, [RecordAgent(), LISTENING])


def test_what_the_caller_said_over_the_agents_last_words_is_answered() -> None:
    agent = AgentTurn(said_over=("yes",), complete=True)
    turns, actions = carried_on(ASKED, turn=TURN, heard="Is that right?", agent=agent)
    assert actions == [RecordAgent(), RecordCaller("yes"), THINKING, StartReply()]
    assert turns.floor.agent.said_over == ()


def test_a_turn_that_the_caller_had_interrupted_is_not_said_to_its_end() -> None:
    turns, actions = carried_on(
        ASKED, turn=replace(TURN, interrupted=True, complete=False, end_call=True), heard="We", rest="open at ten."
    )
    assert (turns.state, actions) == (State.LISTENING, [RecordAgent(), LISTENING])
    turns, actions = carried_on(ASKED, ANSWERED, turn=replace(TURN, interrupted=True), rest="Hm.")
    assert (turns.state, actions) == (State.LISTENING, [RecordAgent(), LISTENING])


def test_an_agent_that_said_goodbye_hangs_up_after_it() -> None:
    turn = replace(TURN, end_call=True)
    turns, actions = carried_on(ASKED, turn=turn, heard="Goodbye.")
    assert (turns.state, actions) == (State.ENDED, [RecordAgent(), EndSession("agent_hangup")])
    turns, _ = carried_on(ASKED, turn=turn, heard="Good", rest="bye.")
    assert play(turns, ReplyFinished(), PlayoutFinished())[-1] == EndSession("agent_hangup")


def test_a_farewell_is_a_farewell_also_after_the_takeover() -> None:
    agent = AgentTurn(interruptible=False, end_reason="max_duration", is_farewell=True, playout_began=5)
    turns, _ = carried_on(ASKED, ANSWERED, turn=replace(TURN, is_answer=False), rest="Time is up.", agent=agent)
    assert not turns.floor.interruptible
    assert turns.floor.agent.playout_began is None
    assert play(turns, ReplyFinished(), PlayoutFinished())[-1] == EndSession("max_duration")


def test_a_given_text_of_which_nothing_is_known_was_not_begun() -> None:
    turns, actions = carried_on(turn=replace(TURN, is_answer=False, complete=False))
    assert actions == [SPEAKING, Say(GREETING.text)]
    turns, actions = carried_on(ASKED, ANSWERED, turn=replace(TURN, is_answer=False, complete=False))
    assert (turns.state, actions) == (State.LISTENING, [LISTENING])


@pytest.mark.parametrize("rest", ["", "a moment."])
def test_a_turn_that_waited_for_a_tool_goes_on_with_the_models_answer(rest: str) -> None:
    turn = replace(TURN, complete=False)
    turns, actions = carried_on(ASKED, turn=turn, heard="Just", rest=rest, waits_for_tools=True)
    assert (turns.state, actions) == (State.SPEAKING, [SPEAKING, ResumeTurn(rest, answer=True)])


def test_the_model_reads_that_a_tool_may_have_run() -> None:
    (use,) = lost_tool_uses(Memory(epoch=1, tools=(BOOK,)))
    assert use.call == BOOK
    assert use.result.startswith("Unknown")


def test_the_caller_is_understood_while_the_rest_is_said() -> None:
    turns, _ = carried_on(ASKED, turn=TURN, heard="We open", rest="at ten.")
    assert play(turns, FinalText(1, "")) == []


@pytest.mark.parametrize(("published", "missing"), [(9, []), (8, [ANSWERED]), (4, [ASKED, ANSWERED])])
def test_words_that_were_recorded_but_did_not_reach_the_client_are_published(
    published: int, missing: list[Utterance]
) -> None:
    past = Past((ANSWERED, ASKED, ToolUse(BOOK, "booked"), ANSWERED), Memory(epoch=1, transcripts=(4, 7, 9)))
    assert unpublished(past, published) == missing
