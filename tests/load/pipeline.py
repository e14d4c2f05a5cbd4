"""How many sessions a core of a pipeline worker carries, voice activity detection on, its engines over the network.

Recogniser, language model and speech are a server of OpenAI's protocol on loopback, on the load's core. Callers ask,
hear the answer, and ask again; media workers are simulated, so that the worker has a core of its own.
"""

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import yaml

from callers.voice import RATE as CALLER_RATE
from pipeline_worker.engines.resampling import resampled
from shared.io import broker
from tests.integration.speech import spoken
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.stand_in_media import StandInMedia
from tests.load.swarm import process_cpu_s

OPEN_MICROPHONE = "open microphone (no DTX)"
_FIRST_SESSIONS, _MOST_SESSIONS = 50, 120
_LOAD_CORE_SHARE = 0.6
"""How much of the load's core the sessions use. With more, delays of the engines' server would count as the worker's;
with fewer, each session bears more of the fixed cost of the process."""
_TRIAL_S = 4.0
_SETTLE_S = 12.0
_WINDOW_S = 20.0
_SESSIONS_PER_CORE = 230.0
_MAX_MB_PER_SESSION = 1.0
_UNANSWERED = 0
_LATE_P95_S = 1.0
"""Beyond endpointing and engines: more means that the worker was overloaded, and its figure would flatter."""
_ENDPOINTING_S = 0.5
_REPLY = (
    "We have a soup of the day, fresh pasta with basil, and a cake that my grandmother used to make. Anything else?"
)
_ENGINES_MS = {"--transcription-ms": 150, "--first-token-ms": 250, "--first-speech-ms": 100}
_SETTLED_TOKENS_PER_S = 60


def run(report: BenchReport) -> None:
    os.sched_setaffinity(0, {stack.LOAD_CORE})
    asyncio.run(_run(report))


async def _run(report: BenchReport) -> None:
    open_microphone = await measure_open_microphone(report)
    dtx = await _measure(report, "silence told as silence (DTX)", dtx=True)
    report.bar("sessions per core, open microphone", open_microphone, _SESSIONS_PER_CORE, "higher")
    report.bar("sessions per core, DTX", dtx, _SESSIONS_PER_CORE, "higher")


async def measure_open_microphone(report: BenchReport) -> float:
    """Sessions per core."""
    return await _measure(report, OPEN_MICROPHONE, dtx=False)


async def _measure(report: BenchReport, microphone: str, dtx: bool) -> float:
    question = resampled((await spoken("What do you have today?"))[0], CALLER_RATE, 16_000)
    with (
        tempfile.TemporaryDirectory() as folder,
        stack.running_broker() as (url, broker_pid),
        _engines() as (engines_url, engines_pid),
    ):
        (Path(folder) / "remote.yaml").write_text(yaml.safe_dump(_agent(engines_url)), encoding="utf-8")
        settings = {
            "ANTIPHON_REDIS_URL": url,
            "ANTIPHON_LOG_LEVEL": "error",
            "ANTIPHON_AGENTS_DIR": folder,
            "ANTIPHON_PIPELINE_CAPACITY": str(_MOST_SESSIONS),
            "OPENAI_API_KEY": "not-needed-here",
        }
        load_pids = (os.getpid(), broker_pid, engines_pid)
        with stack.running("pipeline_worker", stack.SERVER_CORE, **settings) as worker:
            client = broker.connect(url)
            await stack.pipeline_worker_there(client)
            await client.aclose()
            media = StandInMedia(url, [question], dtx)
            running = asyncio.create_task(media.run())
            empty_mb = _rss_mb(worker.pid)
            await media.open(_FIRST_SESSIONS, "remote")
            await asyncio.sleep(_SETTLE_S)
            _, load_share = await _core_shares(_TRIAL_S, (), load_pids)
            sessions = min(_MOST_SESSIONS, max(_FIRST_SESSIONS, int(_FIRST_SESSIONS * _LOAD_CORE_SHARE / load_share)))
            await media.open(sessions - _FIRST_SESSIONS, "remote")
            await asyncio.sleep(_SETTLE_S)
            media.forget()
            used, load_share = await _core_shares(_WINDOW_S, (worker.pid,), load_pids)
            full_mb = _rss_mb(worker.pid)
            await media.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    callers = list(media.callers.values())
    engines_s = sum(_ENGINES_MS.values()) / 1000
    delays = [first - _ENDPOINTING_S - engines_s for caller in callers for first in caller.first_audio_s]
    cost = used / sessions * 1000
    late_p95 = float(np.percentile(delays, 95)) if delays else float("inf")
    report.add(
        microphone=microphone,
        sessions=sessions,
        ms_per_session_s=cost,
        sessions_per_core=1000 / cost,
        core_used=used,
        load_core_used=load_share,
        answers=len(delays),
        late_p50_ms=float(np.percentile(delays, 50)) * 1000 if delays else None,
        late_p95_ms=late_p95 * 1000,
        mb_per_session=(full_mb - empty_mb) / sessions,
        load_worst_late_ms=media.worst_late_s * 1000,
    )
    wrong = sum(caller.unanswered + len(caller.errors) for caller in callers)
    report.bar(f"{microphone}: questions unanswered or answered with an error", wrong, _UNANSWERED, "lower")
    report.bar(f"{microphone}: first audio late by s, p95", late_p95, _LATE_P95_S, "lower")
    report.bar(f"{microphone}: MB per session", (full_mb - empty_mb) / sessions, _MAX_MB_PER_SESSION, "lower")
    return 1000 / cost


async def _core_shares(window_s: float, worker: Sequence[int], load: Sequence[int]) -> tuple[float, float]:
    """What the processes of each side used of a core."""
    began, before = time.monotonic(), [sum(map(process_cpu_s, pids)) for pids in (worker, load)]
    await asyncio.sleep(window_s)
    elapsed = time.monotonic() - began
    of_worker, of_load = (
        (sum(map(process_cpu_s, pids)) - used) / elapsed for pids, used in zip((worker, load), before, strict=True)
    )
    return of_worker, of_load


@contextlib.contextmanager
def _engines() -> Iterator[tuple[str, int]]:
    options = [text for name, value in _ENGINES_MS.items() for text in (name, str(value))]
    options += ["--tokens-per-s", str(_SETTLED_TOKENS_PER_S), "--reply", _REPLY]
    with stack.running("tests.fakes.openai_server", stack.LOAD_CORE, *options) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        yield found[0], server.pid


def _agent(engines_url: str) -> dict[str, object]:
    def engine(**options: object) -> dict[str, object]:
        return {"engine": "openai", "options": {"base_url": engines_url, **options}}

    return {
        "id": "remote",
        "name": "Remote",
        "speech_to_text": engine(model="whisper-1"),
        "language_model": engine(model="gpt-4o-mini"),
        "text_to_speech": engine(model="tts-1", voice="alloy"),
        "turn_taking": {"endpointing_ms": int(_ENDPOINTING_S * 1000), "max_endpointing_ms": 500, "adaptive": False},
    }


def _rss_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / (1 << 20)
