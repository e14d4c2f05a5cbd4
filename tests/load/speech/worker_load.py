"""A pipeline worker with its helpers on one core: sessions, processor, memory, start.

Callers are simulated, as in the benchmark `pipeline`: they ask the shipped front desk, hear its answer, ask again.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil

from pipeline_worker.engines.protocols import TextToSpeech
from shared.audio import Pcm
from shared.io import broker
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.delays import Delays
from tests.load.speech.callers_questions import QUESTIONS
from tests.load.speech.engines import in_a_room, piper, say
from tests.load.stand_in_media import StandInMedia
from tests.load.steal import StealWatch, watching

_AGENTS = Path(__file__).parents[3] / "deploy/agents"
_AGENT = "front-desk"
_ENDPOINTING_S = 0.5
"""The agent's shortest. A turn's own endpoint may come later: then it is that which does not count."""
_SETTLE_S = 12.0
_WINDOW_S = 40.0
_SESSIONS = 8
_FIRST_AUDIO_P95_MS = 600.0
_MIB = 1 << 20
_STAGES = {
    "endpointMs": "last sound -> endpoint",
    "sttFinalMs": "endpoint -> final text",
    "llmFirstTokenMs": "final text -> answer",
    "ttsFirstAudioMs": "answer -> its first audio",
}
"""As the worker measures them."""
_HELPERS = {"moonshine_helper": "recogniser", "piper_helper": "voice"}


async def measure(report: BenchReport, sessions: int) -> None:
    async with piper() as joe:
        questions = await asyncio.gather(*(_asked(joe.engine, text) for text in QUESTIONS))
    with _on_core(stack.LOAD_CORE), stack.running_broker() as (url, _):
        settings = {
            "ANTIPHON_REDIS_URL": url,
            "ANTIPHON_LOG_LEVEL": "error",
            "ANTIPHON_AGENTS_DIR": str(_AGENTS),
            "ANTIPHON_PIPELINE_CAPACITY": str(sessions),
        }
        began_s = time.monotonic()
        with stack.running("pipeline_worker", stack.SERVER_CORE, **settings) as worker:
            client = broker.connect(url)
            await stack.pipeline_worker_there(client)
            await client.aclose()
            report.add(what="worker: start until it takes sessions", value=time.monotonic() - began_s, unit="s")
            processes = _processes(worker.pid)
            for name, process in processes.items():
                memory = process.memory_full_info()
                report.add(what=f"memory after the start: {name}, RSS", value=memory.rss / _MIB, unit="MB")
                report.add(what=f"memory after the start: {name}, PSS", value=memory.pss / _MIB, unit="MB")
            async with watching() as watch:
                await _talk(report, watch, StandInMedia(url, questions, dtx=False), processes, sessions)


async def _talk(
    report: BenchReport, watch: StealWatch, media: StandInMedia, processes: Mapping[str, psutil.Process], sessions: int
) -> None:
    running = asyncio.create_task(media.run())
    with contextlib.suppress(TimeoutError):  # a worker that is too busy takes fewer, which is reported below
        await media.open(sessions, _AGENT)
    await asyncio.sleep(_SETTLE_S)
    media.forget()
    used, others, began_s = _used_s(processes), _others_s(), time.monotonic()
    await asyncio.sleep(_WINDOW_S)
    elapsed_s = time.monotonic() - began_s
    shares = {name: (after - used[name]) / elapsed_s for name, after in _used_s(processes).items()}
    other_share = (_others_s() - others) / elapsed_s - sum(shares.values())
    await media.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    callers = [caller for caller in media.callers.values() if caller.pipeline]
    beyond, whole = Delays(watch), Delays(watch)
    for caller in callers:
        for first_s, turn in caller.turns:
            endpoint_s = max(_ENDPOINTING_S, turn["endpointMs"] / 1000)
            whole.add(began_s, first_s)
            beyond.add(began_s, first_s - endpoint_s)
        whole.miss(caller.unanswered)
        beyond.miss(caller.unanswered)
    time_s = elapsed_s * max(1, len(callers))
    core = sum(shares.values())
    report.add(
        what="sessions: callers speak", value=sum(c.spoke_s for c in callers) / time_s * 100, unit="% of the time"
    )
    report.add(
        what="sessions: the agent speaks", value=sum(c.listened_s for c in callers) / time_s * 100, unit="% of the time"
    )
    whole.row(report, f"{len(callers)} sessions: end of the question -> first audio")
    beyond.row(report, f"{len(callers)} sessions: the same beyond endpointing")
    for stage, name in _STAGES.items():
        took_ms = [turn[stage] for caller in callers for _, turn in caller.turns if stage in turn]
        if took_ms:
            p50, p95 = np.percentile(took_ms, [50, 95])
            report.add(what=f"... {name}", n=len(took_ms), p50_ms=float(p50), p95_ms=float(p95))
    for name, share in shares.items():
        report.add(what=f"CPU per session: {name}", value=share / max(1, len(callers)) * 1000, unit="ms a second")
    report.add(what="the core's use by them", value=core * 100, unit="%")
    report.add(what="the core's use by others", value=other_share * 100, unit="%")
    report.add(what="sessions that would use all of the core", value=len(callers) / core, unit="sessions")
    errors = [error for caller in callers for error in caller.errors]
    for error in sorted(set(errors)):
        report.add(what=f"error: {error}", n=errors.count(error))
    report.bar("sessions on one core", len(callers), _SESSIONS, "higher")
    report.bar("first audio beyond endpointing with them, p95 ms", beyond.percentile(95), _FIRST_AUDIO_P95_MS, "lower")
    report.bar("questions without an answer, and errors", sum(c.unanswered for c in callers) + len(errors), 0, "lower")


async def _asked(voice: TextToSpeech, text: str) -> Pcm:
    return in_a_room((await say(voice, text)).pcm, 0, 0)


def _processes(worker_pid: int) -> dict[str, psutil.Process]:
    worker = psutil.Process(worker_pid)
    found = {"worker": worker}
    for child in worker.children(recursive=True):
        command = " ".join(child.cmdline())
        name = next((name for module, name in _HELPERS.items() if module in command), None)
        if name is not None:
            found[name] = child
    return found


def _used_s(processes: Mapping[str, psutil.Process]) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in processes.items()}
    return {name: each.user + each.system for name, each in times.items()}


def _others_s() -> float:
    """What all processes have used of the worker's core."""
    times = psutil.cpu_times(percpu=True)[stack.SERVER_CORE]
    return float(sum(times) - times.idle - times.iowait - times.steal)


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
