"""Attacks on a real deployment beside callers who talk: what the callers hear of them, and what is left of them.

The neighbours' process and the attacker's share a core with the broker; services run wherever the kernel puts them.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from shared.io.broker import Redis, connect
from shared.settings import BUNDLED_AGENTS
from tests.fakes.ports import free_port
from tests.integration.deployment import Deployment, Service, deployed, started
from tests.integration.neighbour import WORST_GAP_S
from tests.load import conversation, stack
from tests.load.attacker import ADDRESS, ROGUE_AGENTS
from tests.load.attacks import ATTACKS
from tests.load.bench_report import BenchReport
from tests.load.engines.rogue_lm import PATTERN, TOOL
from tests.load.neighbours import Neighbour, talking, worst_ms
from tests.load.probing import Probes
from tests.load.steal import watching

_NEIGHBOURS = 10
_CAPACITY = 60
_AFTER_S = 1.0
_FREE_TIMEOUT_S = 6.0
_LAST_TIMEOUT_S = 45.0
"""Half-open sessions that their attacker left standing are gone by then."""
_WARM_UP = ("silent connections, 40 addresses (6)", "500 offers at once", "unknown messages (16)", "data channel")
"""They come twice: what is loaded at first use, and the most that the gateway's connections take, is no leak."""
_MAX_GROWTH_MB = 12.0
_NICE = 10
"""A real attacker has their own processors."""
_KEYS_EXPIRE_S = 65.0
"""The record of a session whose client breaks off while it moves is left to expire."""
_CONSOLE_POOL = "console"
_SESSION_KEYS = ("antiphon:s:*", "antiphon:jobs:*", "antiphon:{workers}:reserved:*")


class _Slots(NamedTuple):
    media: float
    pipeline: float


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=tuple(ATTACKS), metavar="ATTACK")
    parser.epilog = f"All attacks by default: {', '.join(ATTACKS)}."


def run(report: BenchReport, arguments: argparse.Namespace) -> None:
    with stack.running_broker() as (url, _):
        asyncio.run(_run(report, url, arguments.attacks))


async def _run(report: BenchReport, url: str, attacks: Sequence[str]) -> None:
    client = connect(url)
    room = str(_CAPACITY)
    with _agents() as agents:
        async with (
            deployed(
                url, ANTIPHON_MEDIA_CAPACITY=room, ANTIPHON_PIPELINE_CAPACITY=room, ANTIPHON_AGENTS_DIR=agents
            ) as deployment,
            _worker_with_console(url, agents) as console,
            watching() as steal,
            _attacker(deployment) as attacker,
        ):
            neighbours = [Neighbour(deployment.signaling_url) for _ in range(_NEIGHBOURS)]
            for neighbour in neighbours:
                await neighbour.connect()
            async with talking(neighbours) as stalls, Probes(deployment.services).watched() as probes:
                for name in _WARM_UP:
                    await _attack(attacker, name)
                await asyncio.sleep(_AFTER_S)
                before, used = _memory_mb(deployment), await _slots(deployment)
                for neighbour in neighbours:
                    neighbour.heard()
                for name in attacks:
                    outcome = await _attack(attacker, name)
                    await asyncio.sleep(_AFTER_S)
                    gap_ms = max(worst_ms(neighbour.heard(), stalls, steal) for neighbour in neighbours)
                    lost = await _lost(deployment, used, _FREE_TIMEOUT_S)
                    sent = f"{outcome['sent']} {ATTACKS[name].unit}"
                    report.add(attack=name, sent=sent, answered=outcome["answered"],
                               worst_gap_ms=gap_ms, slots_lost=lost, probes=probes.taken())  # fmt: skip
                    report.bar(f"worst gap of a neighbour in ms: {name}", gap_ms, WORST_GAP_S * 1000, "lower")
                for name in ATTACKS.keys() - set(attacks):
                    report.bar(f"worst gap of a neighbour in ms: {name}", None, WORST_GAP_S * 1000, "lower")
                lost = await _lost(deployment, used, _LAST_TIMEOUT_S)
                report.bar("slots lost at the end", lost, 0, "lower")
                report.bar("probes not answered with 200", probes.failures, 0, "lower")
                for name, growth_mb in _growth(before, _memory_mb(deployment)):
                    report.add(attack=f"memory of the {name}: MB more", worst_gap_ms=growth_mb)
                    report.bar(f"MB that the {name} has grown by", growth_mb, _MAX_GROWTH_MB, "lower")
            for neighbour in neighbours:
                await neighbour.leave()
            report.bar("control characters of a tool's name on a console", _control_characters(console), 0, "lower")
            report.bar("keys of sessions left", await _keys_left(client), 0, "lower")
    await client.aclose()


@contextmanager
def _agents() -> Iterator[str]:
    """A folder with the echo agent, and with those whose model is rogue, one of them for the worker with a console."""
    voice = {"engine": "tests.load.engines.fixed_tts:FixedTextToSpeechProvider"}
    schema = {"type": "object", "properties": {"code": {"type": "string", "pattern": PATTERN}}, "required": ["code"]}
    tool = {"name": TOOL, "description": "Books.", "parameters": schema, "python": "tests.load.engines.rogue_lm:book"}
    rogue_lm = {"engine": "tests.load.engines.rogue_lm:RogueLanguageModelProvider"}
    with tempfile.TemporaryDirectory(prefix="antiphon-hostile-") as folder:
        shutil.copy(BUNDLED_AGENTS / "echo.yaml", folder)
        for name, pool in zip(ROGUE_AGENTS, ("default", _CONSOLE_POOL), strict=True):
            definition = conversation.agent(name, reply={}, voice=voice)
            definition |= {"language_model": rogue_lm, "tools": [tool], "pool": pool}
            (Path(folder) / f"{name}.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
        yield folder


@asynccontextmanager
async def _worker_with_console(url: str, agents: str) -> AsyncIterator[Service]:
    """A pipeline worker whose log is for people, as on a developer's terminal."""
    with started(
        "pipeline_worker",
        ANTIPHON_REDIS_URL=url,
        ANTIPHON_AGENTS_DIR=agents,
        ANTIPHON_PIPELINE_POOLS=_CONSOLE_POOL,
        ANTIPHON_LOG_FORMAT="console",
        ANTIPHON_PROBE_PORT=str(free_port()),
    ) as service:
        yield service


def _control_characters(console: Service) -> int | None:
    """None if the tool's name was never logged."""
    lines = [line for line in console.log if TOOL in line]
    return sum(not character.isprintable() for line in console.log for character in line) if lines else None


@asynccontextmanager
async def _attacker(deployment: Deployment) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.load.attacker", "127.0.0.1", str(deployment.port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: os.nice(_NICE) and None,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def _attack(attacker: asyncio.subprocess.Process, name: str) -> dict[str, Any]:
    assert attacker.stdin is not None and attacker.stdout is not None
    attacker.stdin.write(f"{name}\n".encode())
    line = await attacker.stdout.readline()
    if not line:
        raise RuntimeError(f"the attacker at {ADDRESS} has ended")
    outcome: dict[str, Any] = json.loads(line)
    print(f"{name}: {outcome}", file=sys.stderr)
    return outcome


async def _slots(deployment: Deployment) -> _Slots:
    media = await asyncio.to_thread(deployment.media.metric, "antiphon_media_sessions")
    pipeline = await asyncio.to_thread(deployment.pipeline.metric, "antiphon_pipeline_sessions")
    return _Slots(media, pipeline)


async def _lost(deployment: Deployment, before: _Slots, timeout_s: float) -> int:
    """The slots of both workers that are still taken after this time; a neighbour who was cut off counts too."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while await _slots(deployment) != before:  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.2)
    now = await _slots(deployment)
    return round(abs(now.media - before.media) + abs(now.pipeline - before.pipeline))


def _memory_mb(deployment: Deployment) -> dict[str, float]:
    names = ("gateway", "media worker", "pipeline worker")
    processes = [psutil.Process(service.process.pid) for service in deployment.services]
    return {name: process.memory_info().rss / (1 << 20) for name, process in zip(names, processes, strict=True)}


def _growth(before: dict[str, float], after: dict[str, float]) -> Iterable[tuple[str, float]]:
    return [(name, after[name] - before[name]) for name in before]


async def _keys_left(client: Redis) -> int:
    async def count() -> int:
        return sum([len(await client.keys(pattern)) for pattern in _SESSION_KEYS])

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_KEYS_EXPIRE_S):
            while await count():  # noqa: ASYNC110 (keys have no event)
                await asyncio.sleep(1.0)
    return await count()
