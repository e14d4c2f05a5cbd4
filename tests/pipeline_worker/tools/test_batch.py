import asyncio
from collections.abc import Mapping
from typing import Any

from pipeline_worker.tools.batch import ToolBatch
from pipeline_worker.tools.toolbox import Toolbox, Toolboxes
from pipeline_worker.turns.conversation import ToolCall, ToolUse
from tests.fakes import tool_functions
from tests.pipeline_worker.tools.test_toolbox import agent_with, function, toolbox

STILL_RUNNING = "Still running; the result follows later. Do not call it again."


class Guarded:
    """A batch, and all that it reports."""

    def __init__(self, box: Toolbox, *calls: ToolCall) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.late: list[tuple[ToolUse, bool]] = []
        self._told = asyncio.Event()
        self.batch = ToolBatch(box, "s1", calls, self._tell, lambda *late: self.late.append(late))

    def _tell(self, event_type: str, fields: Mapping[str, Any]) -> None:
        self.events.append((event_type, fields))
        self._told.set()

    async def until_ended(self, name: str) -> None:
        async with asyncio.timeout(10):
            while not any(kind == "tool-result" and fields["name"] == name for kind, fields in self.events):
                self._told.clear()
                await self._told.wait()

    async def ended(self) -> None:
        async with asyncio.timeout(10):
            await self.batch.finish()


def call(name: str, arguments: str = "{}", call_id: str = "1") -> ToolCall:
    return ToolCall(call_id, name, arguments)


async def test_uses_come_in_the_order_of_the_calls() -> None:
    schema = {"type": "object", "properties": {"name": {}}}
    gate = tool_functions.fresh_gate()
    async with toolbox(function("held", parameters=schema), function("refuse")) as box:
        watched = Guarded(box, call("held", '{"name": "a"}'), call("refuse"), call("unknown"))
        assert not await watched.batch.finish(within_s=0)
        gate.may_end.set()
        await watched.ended()
    uses, outcomes = zip(*watched.batch.outcomes, strict=True)
    assert [use.call.name for use in uses] == ["held", "refuse", "unknown"]
    assert [use.result.split(" ")[0] for use in uses] == ["done", "Failed:", "Not"]
    assert [outcome.ok for outcome in outcomes] == [True, False, False]
    assert watched.late == []


async def test_no_more_than_four_run_at_once_and_sixteen_at_all() -> None:
    gate = tool_functions.fresh_gate()
    async with toolbox(function("held")) as box:
        watched = Guarded(box, *[call("held", call_id=str(number)) for number in range(18)])
        await gate.four_began.wait()
        await watched.batch.finish(within_s=0.01)
        assert gate.begun == 4
        gate.may_end.set()
        await watched.ended()
    assert gate.begun == 16
    assert [outcome.ok for _, outcome in watched.batch.outcomes] == [True] * 16 + [False] * 2


async def test_clients_get_each_call_and_its_outcome() -> None:
    async with toolbox(
        function("nothing"), function("refuse"), {"builtin": "transfer", "destinations": {"a": "b"}}
    ) as box:
        watched = Guarded(box, call("nothing"), call("refuse"), call("transfer", '{"destination": "a"}'))
        await watched.ended()
    results = {fields["name"]: fields for kind, fields in watched.events if kind == "tool-result"}
    assert [results[name]["ok"] for name in ("nothing", "refuse", "transfer")] == [True, False, True]
    assert results["nothing"]["durationMs"] >= 0
    assert ("tool-call", {"id": "1", "name": "nothing"}) in watched.events
    assert ("transfer", {"destination": "a", "uri": "b", "reason": ""}) in watched.events


async def test_arguments_are_sent_to_clients_only_if_allowed() -> None:
    boxes = Toolboxes({"desk": agent_with(function("nothing"), tool_use={"visible": True})}, {})
    await boxes.start()
    written = ['{"a": 1}', "[1]", "{", '{"a": "' + "x" * 5_000 + '"}', ""]
    watched = Guarded(boxes.open("desk"), *[call("nothing", text, str(number)) for number, text in enumerate(written)])
    await watched.ended()
    await boxes.close()
    shown = {fields["id"]: fields.get("arguments") for kind, fields in watched.events if kind == "tool-call"}
    assert shown == {"0": {"a": 1}, "1": None, "2": None, "3": None, "4": {}}


async def test_a_tool_with_side_effects_finishes_and_is_reported_late() -> None:
    gate = tool_functions.fresh_gate()
    async with toolbox(function("held")) as box:
        watched = Guarded(box, call("held"))
        await gate.began.wait()
        watched.batch.give_up()
        assert watched.late == [(ToolUse(call("held"), STILL_RUNNING), False)]
        gate.may_end.set()
        await watched.ended()
    assert watched.late[1:] == [(ToolUse(call("held"), "done"), True)]
    assert gate.ended == 1


async def test_an_abandoned_tool_that_stops_itself_does_not_stay_running_in_the_conversation() -> None:
    async with toolbox(function("give_up")) as box:
        watched = Guarded(box, call("give_up"))
        await asyncio.sleep(0)
        assert watched.events
        watched.batch.give_up()
        await watched.ended()
    assert watched.late[-1] == (ToolUse(call("give_up"), "Failed: the tool stopped itself."), True)


async def test_a_tool_without_side_effects_is_stopped_and_leaves_nothing() -> None:
    gate = tool_functions.fresh_gate()
    async with toolbox(function("held", side_effects=False)) as box:
        watched = Guarded(box, call("held"))
        await gate.began.wait()
        watched.batch.give_up()
        await watched.ended()
    assert (watched.late, gate.ended) == ([], 0)
    kind, fields = watched.events[-1]
    assert (kind, fields["ok"]) == ("tool-result", False)


async def test_a_tool_that_has_not_begun_does_not_begin() -> None:
    gate = tool_functions.fresh_gate()
    async with toolbox(function("held")) as box:
        watched = Guarded(box, *[call("held", call_id=str(number)) for number in range(8)])
        await gate.four_began.wait()
        watched.batch.give_up()
        gate.may_end.set()
        await watched.ended()
    assert gate.begun == 4
    assert [use.call.id for use, ended in watched.late if not ended] == ["0", "1", "2", "3"]
    assert [use.call.id for use, ended in watched.late if ended] == ["0", "1", "2", "3"]


async def test_nothing_begins_when_the_batch_is_abandoned_at_once() -> None:
    gate = tool_functions.fresh_gate()
    async with toolbox(function("held")) as box:
        watched = Guarded(box, call("held"))
        watched.batch.give_up()
        await watched.ended()
    assert (watched.events, watched.late, gate.begun) == ([], [], 0)


async def test_finished_side_effects_are_reported_even_if_the_rest_is_abandoned() -> None:
    gate = tool_functions.fresh_gate()
    async with toolbox(function("nothing"), function("held", side_effects=False)) as box:
        watched = Guarded(box, call("nothing", call_id="1"), call("held", call_id="2"), call("unknown", call_id="3"))
        await gate.began.wait()
        await watched.until_ended("nothing")
        watched.batch.give_up()
        await watched.ended()
    assert watched.late == [(ToolUse(call("nothing", call_id="1"), "done"), True)]


async def test_endless_arguments_are_not_kept() -> None:
    async with toolbox(function("nothing")) as box:
        watched = Guarded(box, call("nothing", "[" * 50_000))
        await watched.ended()
    use, _ = watched.batch.outcomes[0]
    assert (use.call.arguments, use.result) == ("{}", "Not run: the arguments are longer than 32000 characters.")


async def test_a_tool_that_cancels_itself_has_failed() -> None:
    async with toolbox(function("give_up")) as box:
        watched = Guarded(box, call("give_up"))
        await watched.ended()
    assert watched.batch.outcomes[0][0].result == "Failed: the tool stopped itself."


async def test_the_filler_is_the_tools_own_or_the_agents() -> None:
    async with toolbox(function("nothing"), function("refuse", filler="Let me look.")) as box:
        assert Guarded(box, call("nothing")).batch.filler == "One moment, please."
        assert Guarded(box, call("nothing"), call("refuse")).batch.filler == "Let me look."
