import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_worker.engines.protocols import Reply
from pipeline_worker.tools.loop import ToolLoop
from pipeline_worker.tools.toolbox import Toolboxes
from pipeline_worker.turns.conversation import Entry, ToolCall, ToolUse, Utterance
from shared.errors import EngineError
from tests.fakes import tool_functions
from tests.fakes.calling_model import CallingModel, calls
from tests.pipeline_worker.tools.test_toolbox import agent_with, function

ASKED = (Utterance("user", "a table for two"),)
ADD = function("add", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
SOON = {"filler_after_s": 0.01}


class Session:
    """A model with tools, and what it reports."""

    def __init__(self, model: CallingModel, boxes: Toolboxes) -> None:
        self.model = model
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.recorded: list[ToolUse] = []
        self.boxes = boxes
        self.using = ToolLoop(
            model, boxes.open("desk"), "s1", lambda *event: self.events.append(event), self.recorded.append
        )

    async def replies(self, confirmed: asyncio.Event | None = None) -> list[Reply]:
        async with asyncio.timeout(10):
            return [reply async for reply in self.using.reply(ASKED, confirmed)]

    async def said(self) -> str:
        return "".join(reply.text for reply in await self.replies())


@asynccontextmanager
async def session(
    *answers: Sequence[Reply], tools: Sequence[dict[str, Any]] = (), **tool_use: Any
) -> AsyncIterator[Session]:
    boxes = Toolboxes({"desk": agent_with(*tools, tool_use={"filler_after_s": 30, **tool_use})}, {})
    await boxes.start()
    try:
        yield Session(CallingModel(*answers), boxes)
    finally:
        await boxes.close()


async def test_a_model_that_calls_nothing_is_passed_through() -> None:
    async with session([Reply("Hello. "), Reply("Bye.", end_call=True)]) as desk:
        assert await desk.replies() == [Reply("Hello. "), Reply("Bye.", end_call=True)]
        assert desk.model.asked == [ASKED]


async def test_the_result_of_a_tool_goes_to_the_model_and_is_recorded() -> None:
    async with session(calls('add {"a": 2}'), [Reply("Three.")], tools=[ADD]) as desk:
        assert await desk.replies() == [Reply("Three.")]
        use = ToolUse(ToolCall("1", "add", '{"a": 2}'), "3")
        assert desk.model.asked == [ASKED, (*ASKED, use)]
        assert desk.recorded == [use]
        assert [kind for kind, _ in desk.events] == ["tool-call", "tool-result"]


async def test_words_before_a_tool_call_are_spoken_and_kept_for_the_model() -> None:
    async with session(calls('add {"a": 2}', say="Let me see"), [Reply("Three.")], tools=[ADD]) as desk:
        assert await desk.said() == "Let me see\nThree."
        assert desk.model.asked[1][1] == Utterance("agent", "Let me see")


async def test_several_tools_run_concurrently() -> None:
    tool_functions.fresh_gate().may_end.set()
    two = calls("held", 'add {"a": 2}', "unknown")
    async with session(two, [Reply("Both.")], tools=[ADD, function("held")]) as desk:
        assert await desk.said() == "Both."
        assert [use.result for use in desk.recorded] == ["done", "3", "Not run: there is no tool 'unknown'."]


async def test_a_model_can_correct_its_arguments() -> None:
    async with session(
        calls("add {"), calls('add {"a": "x"}'), calls('add {"a": 1}'), [Reply("Two.")], tools=[ADD]
    ) as desk:
        assert await desk.said() == "Two."
        assert [use.result.split(":")[0] for use in desk.recorded] == ["Not run", "Not run", "2"]


async def test_a_slow_tool_is_bridged_once() -> None:
    gate = tool_functions.fresh_gate()
    async with session(calls("held"), calls("held"), [Reply("Done.")], tools=[function("held")], **SOON) as desk:
        replies = desk.using.reply(ASKED)
        assert await anext(replies) == Reply("One moment, please.\n")
        gate.may_end.set()
        assert [reply async for reply in replies] == [Reply("Done.")]
        assert gate.ended == 2


async def test_an_agent_that_has_just_spoken_needs_no_filler() -> None:
    gate = tool_functions.fresh_gate()
    answers = calls("held", say="I look it up."), [Reply("Done.")]
    async with session(*answers, tools=[function("held")], filler_after_s=0) as desk:
        asyncio.get_running_loop().call_later(0.02, gate.may_end.set)
        assert await desk.said() == "I look it up.\nDone."


async def test_an_agent_may_have_no_filler() -> None:
    gate = tool_functions.fresh_gate()
    tools = [function("held")]
    async with session(calls("held"), [Reply("Done.")], tools=tools, filler=None, filler_after_s=0) as desk:
        asyncio.get_running_loop().call_later(0.02, gate.may_end.set)
        assert await desk.said() == "Done."


async def test_a_model_that_only_calls_tools_is_asked_to_answer() -> None:
    again = calls('add {"a": 1}')
    async with session(again, again, again, [Reply("Enough.")], tools=[ADD], max_rounds=2) as desk:
        assert await desk.said() == "Enough."
        assert len(desk.recorded) == 2
        assert desk.model.asked[3][-1].result == "Not run: too many in this turn. Answer the caller now."  # type: ignore[union-attr]


async def test_a_model_that_never_answers_is_broken() -> None:
    async with session(calls('add {"a": 1}'), tools=[ADD], max_rounds=2) as desk:
        with pytest.raises(EngineError) as raised:
            await desk.replies()
        assert raised.value.code == "engine_broken"
        assert len(desk.model.asked) == 4


async def test_a_model_that_says_nothing_after_a_tool_is_asked_once_more() -> None:
    async with session(calls('add {"a": 2}'), [], [Reply("Three.")], tools=[ADD]) as desk:
        assert await desk.said() == "Three."
        assert desk.model.asked[1] == desk.model.asked[2]
        assert len(desk.recorded) == 1


@pytest.mark.parametrize("filler", ["One moment, please.", None])
@pytest.mark.parametrize("blank", [[], [Reply(" \n")]], ids=["nothing", "blank"])
async def test_a_booking_is_not_followed_by_silence(blank: list[Reply], filler: str | None) -> None:
    gate = tool_functions.fresh_gate()
    tools = [function("held")]
    async with session(calls("held"), blank, tools=tools, filler=filler, filler_after_s=0) as desk:
        asyncio.get_running_loop().call_later(0.02, gate.may_end.set)
        with pytest.raises(EngineError, match="does not answer"):  # which leads to the apology
            await desk.replies()
        assert len(desk.recorded) == 1


async def test_a_filler_does_not_count_as_an_answer() -> None:
    gate = tool_functions.fresh_gate()
    async with session(calls("held"), tools=[function("held")], max_rounds=1, **SOON) as desk:
        asyncio.get_running_loop().call_later(0.05, gate.may_end.set)
        with pytest.raises(EngineError, match="does not answer"):
            await desk.replies()


async def test_an_answer_before_the_tool_needs_no_apology() -> None:
    async with session(calls('add {"a": 2}', say="I add it."), [], tools=[ADD]) as desk:
        assert await desk.said() == "I add it.\n"
        assert len(desk.model.asked) == 3


@pytest.mark.parametrize(
    ("say", "goodbye", "spoken"), [("", "Bye!", "Bye!"), ("See you.", "Bye!", "See you.\n"), ("", None, "")]
)
async def test_the_agent_ends_the_call(say: str, goodbye: str | None, spoken: str) -> None:
    tools = [{"builtin": "end_call", **({"say": goodbye} if goodbye else {})}]
    async with session(calls("end_call", say=say), tools=tools) as desk:
        replies = await desk.replies()
        assert "".join(reply.text for reply in replies) == spoken
        assert replies[-1].end_call
        assert len(desk.model.asked) == 1


async def test_a_transfer_with_a_sentence_ends_the_turn_and_one_without_asks_the_model() -> None:
    transfer = {"builtin": "transfer", "destinations": {"bar": "sip:bar@example.com"}}
    answers = calls('transfer {"destination": "bar"}'), [Reply("I connect you.")]
    async with session(*answers, tools=[{**transfer, "say": "Please hold."}]) as desk:
        assert await desk.said() == "Please hold."
        assert len(desk.model.asked) == 1
    async with session(*answers, tools=[transfer]) as desk:
        assert await desk.said() == "I connect you."
        assert [kind for kind, _ in desk.events] == ["tool-call", "tool-result", "transfer"]


async def test_no_tool_runs_before_the_turn_is_confirmed() -> None:
    gate, confirmed = tool_functions.fresh_gate(), asyncio.Event()
    gate.may_end.set()
    async with session(calls("held"), [Reply("Done.")], tools=[function("held")]) as desk:
        replies = asyncio.create_task(desk.replies(confirmed))
        await asyncio.wait([replies], timeout=0.02)
        assert (gate.begun, desk.events) == (0, [])
        confirmed.set()
        assert await replies == [Reply("Done.")]
        assert gate.ended == 1


async def test_a_speculative_reply_that_is_thrown_away_has_done_nothing() -> None:
    gate = tool_functions.fresh_gate()
    async with session(calls("held"), tools=[function("held")]) as desk:
        replies = asyncio.create_task(desk.replies(asyncio.Event()))
        await asyncio.wait([replies], timeout=0.02)
        replies.cancel()
        await asyncio.wait([replies])
        assert (gate.begun, desk.events, desk.recorded, desk.model.active) == (0, [], [], 0)


@pytest.mark.parametrize("at_filler", [True, False])
async def test_a_booking_of_an_interrupted_turn_is_known_in_the_next(at_filler: bool) -> None:
    gate = tool_functions.fresh_gate()
    async with session(calls("held"), tools=[function("held")], filler_after_s=0 if at_filler else 30) as desk:
        if at_filler:
            replies = desk.using.reply(ASKED)
            await anext(replies)
            await replies.aclose()
            await gate.began.wait()
        else:
            task = asyncio.create_task(desk.replies())
            await gate.began.wait()
            task.cancel()
            await asyncio.wait([task])
        assert desk.recorded == [], "not before it is known what came of it"
        gate.may_end.set()
        await desk.boxes.close()
        assert desk.recorded == [ToolUse(ToolCall("1", "held", ""), "done")]


class Booking(CallingModel):
    """A model that books every request that it has not booked."""

    def __init__(self) -> None:
        super().__init__(calls("held"))

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        if uses := [entry for entry in conversation if isinstance(entry, ToolUse)]:
            self.asked.append(conversation)
            yield Reply(uses[-1].result)
            return
        async for piece in super().reply(conversation):
            yield piece


async def test_a_table_is_booked_once_although_the_caller_adds_a_wish_while_it_is_booked() -> None:
    gate = tool_functions.fresh_gate()
    async with session([], tools=[function("held")], filler_after_s=0) as desk:
        model = Booking()
        using = ToolLoop(model, desk.boxes.open("desk"), "s1", lambda *_: None, desk.recorded.append)
        replies = using.reply(ASKED)
        await anext(replies)
        await gate.began.wait()
        wish = (*ASKED, Utterance("agent", "One mom", interrupted=True), Utterance("user", "by the window, please"))
        await replies.aclose()
        answer = [reply async for reply in using.reply(wish)]
        assert "do not call it again" in answer[0].text.casefold()
        assert [type(entry) for entry in model.asked[-1]] == [Utterance, Utterance, ToolUse, Utterance]

        gate.may_end.set()
        await desk.boxes.close()
        done = ToolUse(ToolCall("1", "held", ""), "done")
        assert desk.recorded == [done]
        assert [reply async for reply in using.reply(wish)] == [Reply("done")], "taken down before the tool had ended"
        thanks: Sequence[Entry] = (*wish, *desk.recorded, Utterance("user", "thanks"))
        assert [reply async for reply in using.reply(thanks)] == [Reply("done")]
        assert model.asked[-1] == thanks, "one result for one call"
        assert gate.begun == 1


async def test_a_lookup_of_an_interrupted_turn_leaves_nothing() -> None:
    gate = tool_functions.fresh_gate()
    async with session(calls("held"), tools=[function("held", side_effects=False)]) as desk:
        task = asyncio.create_task(desk.replies())
        await gate.began.wait()
        task.cancel()
        await asyncio.wait([task])
        await desk.boxes.close()
        assert (desk.recorded, gate.ended) == ([], 0)


async def test_after_the_session_nothing_is_reported() -> None:
    gate = tool_functions.fresh_gate()
    async with session(calls("held"), tools=[function("held")]) as desk:
        task = asyncio.create_task(desk.replies())
        await gate.began.wait()
        task.cancel()
        await asyncio.wait([task])
        told = len(desk.events)
        await desk.using.close()
        gate.may_end.set()
        await desk.boxes.close()
        assert (gate.ended, desk.recorded, len(desk.events), desk.model.closed) == (1, [], told, True)


async def test_a_model_that_fails_after_a_tool_fails_as_it_does() -> None:
    class Failing(CallingModel):
        async def reply(self, conversation: Any) -> AsyncGenerator[Reply, None]:
            if len(self.asked) == 1:
                raise EngineError("gone", code="engine_unavailable")
            async for piece in super().reply(conversation):
                yield piece

    async with session([Reply("")], tools=[ADD]) as desk:
        using = ToolLoop(
            Failing(calls('add {"a": 2}')), desk.boxes.open("desk"), "s1", lambda *_: None, desk.recorded.append
        )
        with pytest.raises(EngineError, match="gone"):
            async for _ in using.reply(ASKED):
                pass
        assert len(desk.recorded) == 1


NAMES = st.sampled_from(["add", "held", "refuse", "crash", "end_call", "unknown", ""])
ARGUMENTS = st.sampled_from(["", "{}", '{"a": 1}', "{", "null", '{"a": []}'])
CALL = st.builds(lambda name, arguments: f"{name} {arguments}", NAMES, ARGUMENTS)
ANSWER: st.SearchStrategy[list[Reply]] = st.one_of(
    st.builds(
        lambda named, say: calls(*named, say=say), st.lists(CALL, min_size=1, max_size=6), st.sampled_from(["", "So."])
    ),
    st.just([Reply("Good.")]),
    st.just([]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANSWER, min_size=1, max_size=5), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 40))
def test_whatever_a_model_calls_and_whenever_it_is_abandoned_nothing_is_left(
    answers: list[list[Reply]], held_back: bool, given_up: bool, side_effects: bool, steps: int
) -> None:
    """Everything that began has ended, side effects are recorded, and only the model's errors are raised."""

    async def converse() -> None:
        gate = tool_functions.fresh_gate()
        tools = [ADD, *(function(name, side_effects=side_effects) for name in ("held", "refuse", "crash"))]
        tools.append({"builtin": "end_call"})
        async with session(*answers, tools=tools, max_rounds=2, filler_after_s=0) as desk:
            task = asyncio.create_task(desk.replies())
            if not held_back:
                gate.may_end.set()
            for _ in range(steps):
                await asyncio.sleep(0)
            if given_up:
                task.cancel()
            gate.may_end.set()
            await asyncio.wait([task], timeout=5)
            await desk.boxes.close()
            assert task.done()
            if not task.cancelled() and (error := task.exception()) is not None:
                assert isinstance(error, EngineError)
                assert error.code == "engine_broken"
            begun = [fields["id"] for kind, fields in desk.events if kind == "tool-call"]
            ended = [fields["id"] for kind, fields in desk.events if kind == "tool-result"]
            assert sorted(begun) == sorted(ended)
            held = sum(use.call.name == "held" and use.result == "done" for use in desk.recorded)
            assert held == gate.ended if side_effects else held <= gate.ended
            assert desk.model.active == 0

    asyncio.run(converse())
