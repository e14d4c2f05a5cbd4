import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline_worker.tools.function import FunctionTool
from pipeline_worker.tools.outcome import ToolContext, ToolFailure
from pipeline_worker.tools.threads import LoopThread, Threads
from shared.agent_tools import Tool
from shared.errors import ConfigError

CONTEXT = ToolContext("session-1", "desk", "call-1")


COROUTINES = LoopThread()


@pytest.fixture(scope="module", autouse=True)
def closed_loops() -> Iterator[None]:
    yield
    COROUTINES.close()


def loaded(function: str, *parameters: str, required: tuple[str, ...] | None = None) -> FunctionTool:
    schema = {
        "type": "object",
        "properties": {name: {} for name in parameters},
        "required": list(parameters if required is None else required),
    }
    place = function if ":" in function else f"tests.fakes.tool_functions:{function}"
    fields = {"name": "tool", "description": "A tool.", "parameters": schema, "python": place}
    return FunctionTool(Tool.model_validate(fields), Threads(2), COROUTINES)


async def run(tool: FunctionTool, **arguments: Any) -> str:
    return (await tool.run(arguments, CONTEXT)).result


async def test_arguments_are_keywords_and_the_result_is_text_or_json() -> None:
    assert await run(loaded("add", "a", "b", required=("a",)), a=2) == "3"
    assert await run(loaded("nothing", "x", "y"), x=1, y=2) == "done"
    assert await run(loaded("an_object")) == "from an object"


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("book", '[{"guest": "Ünal", "on": "2026-05-01", "price": "12.50", "table": {"number": 7}}]'),
        ("bookings_by_day", "{datetime.date(2026, 5, 1): 2}"),
        ("unprintable", "done"),
    ],
)
async def test_a_function_that_returns_has_not_failed_whatever_it_returns(function: str, told: str) -> None:
    assert await run(loaded(function)) == told


async def test_a_function_may_ask_for_the_context() -> None:
    told = '{"hello": "Ünal", "session": "session-1", "agent": "desk", "call": "call-1"}'
    assert await run(loaded("greet", "name"), name="Ünal") == told


async def test_a_value_error_is_for_the_model_to_read() -> None:
    with pytest.raises(ToolFailure, match="no table is free at 7"):
        await run(loaded("refuse"))


@pytest.mark.parametrize("function", ["leave", "leave_at_once"])
async def test_a_tool_that_exits_does_not_end_the_process(function: str) -> None:
    with pytest.raises(RuntimeError, match="tried to exit"):
        await run(loaded(function))


@pytest.mark.parametrize(
    ("function", "parameters", "told"),
    [
        (
            "no.such.module:f",
            (),
            "'no.such.module' cannot be imported: ModuleNotFoundError: .* put its folder on PYTHONPATH",
        ),
        ("tests.fakes.module_that_fails:f", (), "ZeroDivisionError"),
        ("missing", (), "has no function 'missing': correct the name"),
        ("NOT_CALLABLE", (), "has no function 'NOT_CALLABLE'"),
        ("add", ("a", "c"), "takes no 'c': remove it from parameters.properties"),
        ("add", (), "needs 'a': add it to parameters.required"),
        ("greet", (), "needs 'name'"),
        ("builtins:dict", (), "has no readable signature"),
    ],
)
def test_a_function_that_cannot_be_called_is_an_error_at_start(
    function: str, parameters: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        loaded(function, *parameters)


async def test_what_it_returns_or_raises_comes_back() -> None:
    threads = Threads(1)
    assert await threads.run(lambda: threading.current_thread().name) == "tool"
    with pytest.raises(KeyError):
        await threads.run(lambda: dict[str, int]()["a"])
    with pytest.raises(RuntimeError):
        await threads.run(lambda: next(iter([])))
    assert await threads.run(lambda: "still there") == "still there"


async def test_no_more_than_allowed_run_at_once() -> None:
    threads, may_end = Threads(2), threading.Event()
    lock, most, running = threading.Lock(), 0, 0
    two_run, loop = asyncio.Event(), asyncio.get_running_loop()

    def work() -> None:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                loop.call_soon_threadsafe(two_run.set)
        may_end.wait(10)
        with lock:
            running -= 1

    tasks = [asyncio.create_task(threads.run(work)) for _ in range(6)]
    async with asyncio.timeout(10):
        await two_run.wait()
        may_end.set()
        await asyncio.gather(*tasks)
    assert most == 2


async def test_one_that_is_given_up_keeps_its_place_until_it_ends() -> None:
    threads, may_end = Threads(1), threading.Event()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(10)

    task = asyncio.create_task(threads.run(work))
    await begun.wait()
    task.cancel()
    second = asyncio.create_task(threads.run(lambda: "second"))
    await asyncio.wait([task])
    assert not second.done()
    may_end.set()
    assert await second == "second"


def test_one_that_outlives_the_loop_is_no_error() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait(10)
        ended.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await Threads(1).run(work)

    asyncio.run(give_up())
    may_end.set()
    assert ended.wait(10)
