import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline_worker.tools.outcome import MAX_RESULT_CHARACTERS, Outcome
from pipeline_worker.tools.toolbox import Toolbox, Toolboxes
from pipeline_worker.turns.conversation import ToolCall
from shared.agent import AgentDefinition
from shared.errors import ConfigError
from tests.fakes import tool_functions
from tests.fakes.webhook_server import WebhookServer


def agent_with(*tools: Mapping[str, Any], **fields: Any) -> AgentDefinition:
    return AgentDefinition.model_validate({"id": "desk", "name": "Desk", "tools": list(tools), **fields})


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": "A tool.", "python": f"tests.fakes.tool_functions:{name}", **fields}


@asynccontextmanager
async def toolbox(*tools: Mapping[str, Any], environment: Mapping[str, str] = {}) -> AsyncIterator[Toolbox]:
    boxes = Toolboxes({"desk": agent_with(*tools)}, environment)
    await boxes.start()
    try:
        yield boxes.open("desk")
    finally:
        await boxes.close()


NAMED = {"type": "object", "properties": {"name": {}}, "required": ["name"]}


async def used(box: Toolbox, name: str, arguments: str = "") -> Outcome:
    async with asyncio.timeout(10):
        return await box.run(ToolCall("call-1", name, arguments), "session-1")


async def test_each_kind_of_tool_is_run() -> None:
    async with WebhookServer().running() as server:
        webhook = {"name": "find", "description": "Finds.", "webhook": {"url": server.url, "secret_env": "KEY"}}
        async with toolbox(webhook, function("nothing"), {"builtin": "end_call"}, environment={"KEY": "k"}) as box:
            assert (await used(box, "find", "{}")).result == "ok"
            assert (await used(box, "end_call")).end_call
        assert server.requests[0].headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("no_such_tool", "{}", "Not run: there is no tool 'no_such_tool'."),
        ("refuse", "{", "Not run: the arguments are not JSON"),
        ("refuse", "{}", "Failed: no table is free at 7"),
        ("crash", "{}", "Failed: the tool is out of order."),
        ("leave", "{}", "Failed: the tool is out of order."),
        ("leave_at_once", "{}", "Failed: the tool is out of order."),
        ("leave_by_control_c", "{}", "Failed: the tool is out of order."),
    ],
)
async def test_every_failure_is_reported_to_the_model(name: str, arguments: str, told: str) -> None:
    async with toolbox(*map(function, ["refuse", "crash", "leave", "leave_at_once", "leave_by_control_c"])) as box:
        outcome = await used(box, name, arguments)
    assert outcome.result.startswith(told)
    assert not outcome.ok


@pytest.mark.parametrize(("side_effects", "told"), [(True, "not known whether it was done"), (False, "in time.")])
async def test_a_tool_gets_no_more_than_its_time(side_effects: bool, told: str) -> None:
    tool_functions.fresh_gate()
    async with toolbox(function("held", timeout_s=0.01, side_effects=side_effects)) as box:
        outcome = await used(box, "held")
    assert outcome.result.startswith("Failed: no answer in time")
    assert told in outcome.result


async def test_a_service_that_stalls_gets_no_more_than_its_time() -> None:
    async with WebhookServer().running() as server:
        server.may_answer.clear()
        webhook = {"name": "find", "description": "Finds.", "timeout_s": 0.1, "webhook": {"url": server.url}}
        async with toolbox(webhook) as box:
            assert (await used(box, "find")).result.startswith("Failed: no answer in time")


@pytest.mark.parametrize("name", ["block", "never_stop"])
async def test_no_call_is_held_up_by_a_tool_that_blocks_or_never_stops(name: str) -> None:
    tool_functions.unblocked.clear()
    try:
        async with toolbox(function(name, timeout_s=0.1), function("greet", parameters=NAMED)) as box:
            began = asyncio.get_running_loop().time()
            assert (await used(box, name)).result.startswith("Failed: no answer in time")
            assert asyncio.get_running_loop().time() - began < 1
            assert "Ann" in (await used(box, "greet", '{"name": "Ann"}')).result, "other tools still work"
    finally:
        tool_functions.unblocked.set()


@pytest.mark.parametrize("name", ["a_huge_list", "a_huge_text"])
async def test_a_result_of_fifty_megabytes_is_cut_where_it_is_made(name: str) -> None:
    async with toolbox(function(name)) as box:
        outcome = await used(box, name)
    assert outcome.ok
    assert outcome.result.endswith("x ... (the rest was cut off)")
    assert len(outcome.result) < MAX_RESULT_CHARACTERS + 50


async def test_a_result_is_cut_to_what_a_model_should_read() -> None:
    async with toolbox(function("endless")) as box:
        outcome = await used(box, "endless")
    assert outcome.result == "x" * MAX_RESULT_CHARACTERS + " ... (the rest was cut off)"


async def test_closing_waits_for_what_still_runs() -> None:
    gate = tool_functions.fresh_gate()
    async with toolbox(function("held")) as box:

        async def use() -> None:
            await used(box, "held")

        box.spawn(use())
        await gate.began.wait()
        asyncio.get_running_loop().call_later(0.01, gate.may_end.set)
    assert gate.ended == 1


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        (function("missing"), "agent 'desk': tools.missing.python: .* has no function 'missing'"),
        (function("add", parameters={"type": "int"}), "agent 'desk': tools.add.parameters: type: 'int'"),
        (
            function("add", parameters={"type": "object", "properties": {"a": {"pattern": "(?=x)"}}}),
            r"agent 'desk': tools.add.parameters: properties.a.pattern: the pattern '\(\?=x\)' cannot be used: look-",
        ),
        (
            {"name": "find", "description": "Finds.", "webhook": {"url": "http://x.example/", "secret_env": "KEY"}},
            "agent 'desk': tools.find.webhook.secret_env: KEY is not set: set it to the service's key",
        ),
    ],
    ids=["function", "schema", "pattern", "secret"],
)
async def test_a_tool_that_cannot_work_is_an_error_at_start(tool: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        async with toolbox(tool):
            pass


async def test_a_tools_error_names_the_agents_file() -> None:
    agent = agent_with(function("missing")).read_from("agents/desk.yaml")
    with pytest.raises(ConfigError, match=r"^agents/desk\.yaml: agent 'desk': tools\.missing\.python: "):
        await Toolboxes({"desk": agent}, {}).start()


async def test_an_agent_without_tools_has_an_empty_box() -> None:
    async with toolbox() as box:
        assert box.find("end_call") is None
    echo = agent_with(function("missing"), mode="echo")
    boxes = Toolboxes({"desk": echo}, {})
    await boxes.start()
    await boxes.close()
    await boxes.close()
