import asyncio
import threading

import pytest

from pipeline_worker.tools.threads import Threads


async def test_results_and_exceptions_are_returned() -> None:
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


async def test_an_abandoned_function_keeps_its_place_until_it_ends() -> None:
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


def test_a_function_that_outlives_the_loop_is_not_an_error() -> None:
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
