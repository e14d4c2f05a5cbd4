"""Runs scenarios: against a stack that runs, or on embedded ones."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

from deploy.evaluation.embedded_stack import embedded_stack
from deploy.evaluation.outcome import Outcome
from deploy.evaluation.performance import Props, perform, props_of
from deploy.evaluation.scenario import Scenario
from deploy.evaluation.speaker import Speaker, speaking
from shared.errors import ConfigError

Scenarios = Sequence[tuple[Path, Scenario]]
OnOutcome = Callable[[Outcome], None]


async def run_at(url: str, scenarios: Scenarios, at_once: int, on_outcome: OnOutcome) -> list[Outcome]:
    """All of them against the stack at `url`, several at once. In the order of `scenarios`."""
    async with speaking() as speaker:
        return await _run(signaling_url(url), scenarios, at_once, on_outcome, speaker)


async def run_embedded(
    scenarios: Scenarios, at_once: int, on_outcome: OnOutcome, on_line: Callable[[str], None] = lambda _: None
) -> list[Outcome]:
    """As `run_at`, with a stack for those that follow one another and want the same one. Raises `StackFailed`.

    `on_line` takes each line of the stacks' logs.
    """
    outcomes: list[Outcome] = []
    async with speaking() as speaker:
        for (agents_dir, environment), group in groupby(scenarios, lambda one: (one[1].agents_dir, one[1].environment)):
            async with embedded_stack(agents_dir, environment, on_line) as url:
                outcomes += await _run(signaling_url(url), list(group), at_once, on_outcome, speaker)
    return outcomes


async def _run(url: str, scenarios: Scenarios, at_once: int, on_outcome: OnOutcome, speaker: Speaker) -> list[Outcome]:
    room = asyncio.Semaphore(at_once)
    props = [await props_of(scenario, speaker) for _, scenario in scenarios]

    async def one(file: Path, scenario: Scenario, own: Props) -> Outcome:
        async with room:
            outcome = await perform(file, scenario, url, own)
        on_outcome(outcome)
        return outcome

    return await asyncio.gather(
        *(one(file, scenario, own) for (file, scenario), own in zip(scenarios, props, strict=True))
    )


def signaling_url(url: str) -> str:
    """`https://host/` has its signaling at `wss://host/signaling`. Raises `ConfigError`."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ConfigError(f"{url}: not an address of a server: write http://host:8080 or https://host")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/signaling"
