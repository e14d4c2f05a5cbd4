import asyncio

from media_worker.pacer import AT_ONCE, Pacer


async def test_everything_else_runs_between_the_steps_of_a_burst() -> None:
    pacer, steps, between = Pacer(), list[int](), list[int]()

    async def step(number: int) -> None:
        await pacer.turn()
        steps.append(number)

    async with asyncio.TaskGroup() as tasks:
        burst = [tasks.create_task(step(number)) for number in range(20)]
        while not all(task.done() for task in burst):
            before = len(steps)
            await asyncio.sleep(0)
            between.append(len(steps) - before)
    assert steps == list(range(20)), "first come, first served"
    assert max(between) <= AT_ONCE


async def test_one_that_gives_up_does_not_hold_up_the_others() -> None:
    pacer = Pacer()
    waiting = [asyncio.create_task(pacer.turn()) for _ in range(3 * AT_ONCE)]
    await asyncio.sleep(0)
    for task in waiting[:-1]:
        task.cancel()
    async with asyncio.timeout(1):
        await waiting[-1]
