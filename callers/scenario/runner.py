"""Runs scenarios against a running stack or on embedded ones."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from pathlib import Path

from callers.scenario.outcome import Outcome
from callers.scenario.performance import Fixtures, perform, prepare
from callers.scenario.scenario import Scenario
from callers.server import Server
from callers.voice import Synthesizer, synthesizer

Scenarios = Sequence[tuple[Path, Scenario]]
OnOutcome = Callable[[Outcome], None]
OnLine = Callable[[str], None]
StartStack = Callable[[Path | None, Mapping[str, str], OnLine], AbstractAsyncContextManager[str]]
"""Takes a folder of agents, settings and a function for each line of the log. Yields the URL of the stack."""


async def run_at(server: Server, scenarios: Scenarios, at_once: int, on_outcome: OnOutcome) -> list[Outcome]:
    """Run `at_once` scenarios at a time against a running server. Outcomes have the order of `scenarios`."""
    async with synthesizer() as voices:
        return await _run(server, scenarios, at_once, on_outcome, voices)


async def run_embedded(
    scenarios: Scenarios, at_once: int, on_outcome: OnOutcome, start_stack: StartStack, on_line: OnLine
) -> list[Outcome]:
    """As `run_at`. Consecutive scenarios with the same agents and settings share a stack."""
    outcomes: list[Outcome] = []
    async with synthesizer() as voices:
        for (agents_dir, environment), group in groupby(scenarios, lambda one: (one[1].agents_dir, one[1].environment)):
            async with start_stack(agents_dir, environment, on_line) as url:
                outcomes += await _run(Server(url), list(group), at_once, on_outcome, voices)
    return outcomes


async def _run(
    server: Server, scenarios: Scenarios, at_once: int, on_outcome: OnOutcome, voices: Synthesizer
) -> list[Outcome]:
    room = asyncio.Semaphore(at_once)
    fixtures = [await prepare(scenario, voices) for _, scenario in scenarios]

    async def one(file: Path, scenario: Scenario, own: Fixtures) -> Outcome:
        async with room:
            outcome = await perform(file, scenario, server, own)
        on_outcome(outcome)
        return outcome

    return await asyncio.gather(
        *(one(file, scenario, own) for (file, scenario), own in zip(scenarios, fixtures, strict=True))
    )
