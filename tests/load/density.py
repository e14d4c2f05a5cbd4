"""CPU that one session costs a media worker, near saturation, beside plain aiortc and beside the same work in C.

The server under test has a core of its own, and the kernel says what it used. Callers, broker and the stand-in
pipeline share the other core, which is kept busy in every row; how much of it the callers used is printed, because a
starved caller flatters.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from media_worker.opus import library_path
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.load_speech import browser_packets, speech
from tests.load.steal import stolen_s
from tests.load.swarm import Swarm, line_exchange, process_cpu_s

USUAL = "agent talks 40 %, wideband callers"
_FILL = 0.8
"""How much of the server's core is to be used, by what the bounds say of it: a server that is late does less work and
seems cheap, and so does the plain one with few callers, because its costs do not grow evenly."""
_SESSIONS = 100
"""Without a compiler, which measures what the machine can do."""
_SETTLE_S = 3.0
_WINDOW_S = 12.0
_SERVED_PER_S = 48.0
_CALLERS_CORE = 0.8
"""Callers who use more of their core are late themselves, which flatters the server."""
_WINDOWS = 3
"""How often a row is measured until everyone was served: the host may have taken the processors away."""
_TIMES_PLAIN = 8.0
_TIMES_FLOOR = 2.2


def run(report: BenchReport) -> None:
    os.sched_setaffinity(0, {stack.LOAD_CORE})
    with stack.busy_neighbour(), _floor_program() as measure_floor:
        floors = [measure_floor()]
        sessions = _sessions(floors[0])
        everyone = asyncio.run(_antiphon(report, "everyone talks", sessions, talk_share=1.0, wideband=False))
        floors.append(measure_floor())
        asyncio.run(measure_usual(report, sessions))
        plain = asyncio.run(_plain(report, max(1, round(sessions / _TIMES_PLAIN))))
    floor = _add_floor(report, floors)
    report.bar("sessions per core, times plain aiortc", plain / everyone, _TIMES_PLAIN, "higher")
    if floor is not None:
        report.bar("cost, times the floor in C", everyone / floor, _TIMES_FLOOR, "lower")


async def measure_usual(report: BenchReport, sessions: int = _SESSIONS) -> float:
    """Milliseconds of a core for a second of a session as callers and agents usually talk."""
    return await _antiphon(report, USUAL, sessions, talk_share=0.4, wideband=True)


def _sessions(floor_ms: float | None) -> int:
    return _SESSIONS if floor_ms is None else round(_FILL * 1000 / (_TIMES_FLOOR * floor_ms))


async def _antiphon(report: BenchReport, talk: str, sessions: int, talk_share: float, wideband: bool) -> float:
    packets = await asyncio.to_thread(browser_packets, wideband)
    with stack.running_broker() as (url, broker_pid):
        settings = {
            "ANTIPHON_REDIS_URL": url,
            "ANTIPHON_PUBLIC_IPS": "127.0.0.1",
            "ANTIPHON_MEDIA_CAPACITY": str(sessions),
            "ANTIPHON_LOG_LEVEL": "warning",
        }
        with (
            stack.running("media_worker", stack.SERVER_CORE, **settings) as media,
            stack.running(
                "tests.load.talker", stack.LOAD_CORE, ANTIPHON_REDIS_URL=url, TALK_SHARE=str(talk_share)
            ) as talker,
        ):
            assert talker.stdout is not None
            async with stack.direct_signaling(url, talker.stdout.readline().strip()) as signaling:
                swarm = Swarm(signaling.exchange, packets)
                await swarm.join(sessions)
                cost = await _measure(
                    report,
                    swarm,
                    {"server": "antiphon media worker, Redis both ways", "talk": talk, "sessions": sessions},
                    media.pid,
                    lambda: process_cpu_s(broker_pid),
                    talk_share,
                )
                signaling.hang_up()
                await swarm.leave()
    return cost


async def _plain(report: BenchReport, sessions: int) -> float:
    packets = await asyncio.to_thread(browser_packets, False)
    with stack.plain_aiortc("talk", sessions) as (port, pid, broker_pid):
        swarm = Swarm(lambda _, sdp: line_exchange(port, sdp), packets)
        await swarm.join(sessions)
        cost = await _measure(
            report,
            swarm,
            {"server": "plain aiortc, awaited Redis writes", "talk": "everyone talks", "sessions": sessions},
            pid,
            lambda: process_cpu_s(broker_pid),
        )
        await swarm.leave()
    return cost


async def _measure(
    report: BenchReport,
    swarm: Swarm,
    row: dict[str, object],
    server_pid: int,
    broker_cpu_s: Callable[[], float],
    talk_share: float = 1.0,
) -> float:
    """One row of the table; returns milliseconds of CPU per session-second."""
    sessions = int(str(row["sessions"]))
    await swarm.talk(_SETTLE_S)
    for _ in range(_WINDOWS):
        began, cpu_s, broker_s, steal_s = time.monotonic(), process_cpu_s(server_pid), broker_cpu_s(), stolen_s()
        load = await swarm.talk(_WINDOW_S)
        elapsed = time.monotonic() - began
        used_s, broker_used_s = process_cpu_s(server_pid) - cpu_s, broker_cpu_s() - broker_s
        stolen_share = (stolen_s() - steal_s) / elapsed / (os.cpu_count() or 1)
        if load["received_per_s"] >= _SERVED_PER_S * talk_share:
            break
    cost = used_s / elapsed / sessions * 1000
    report.add(
        **row,
        ms_per_session_s=cost,
        sessions_per_core=1000 / cost,
        core_used=used_s / elapsed,
        broker_ms=broker_used_s / elapsed / sessions * 1000,
        sent_per_s=load["sent_per_s"],
        received_per_s=load["received_per_s"],
        callers_core=load["swarm_core_share"],
        starved_callers=sum(caller.received_packets < _SERVED_PER_S * talk_share * elapsed for caller in swarm.callers),
        stolen_share=stolen_share,
    )
    what = f"{row['server']}, {row['talk']}"
    served = _SERVED_PER_S * talk_share
    report.bar(f"{what}: packets per second to a caller", load["received_per_s"], served, "higher")
    report.bar(f"{what}: packets per second of a caller", load["sent_per_s"], _SERVED_PER_S, "higher")
    report.bar(f"{what}: core of the callers", load["swarm_core_share"], _CALLERS_CORE, "lower")
    return cost


@contextlib.contextmanager
def _floor_program() -> Iterator[Callable[[], float | None]]:
    """Measures the same codec, cipher and system calls in a loop in C: milliseconds per session-second.

    None without a compiler or OpenSSL's headers. The clock of a virtual machine's core drifts by a tenth within a
    minute, so it is measured before and after the row that it is compared with.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        print("floor: no C compiler, left out")
        yield lambda: None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Path(__file__).parent / "peers" / "floor.c"
        built = subprocess.run(
            [compiler, "-O2", "-o", str(folder / "floor"), str(source), "-ldl", "-lcrypto"],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            print(f"floor: not built, left out ({built.stderr.splitlines()[-1]})")
            yield lambda: None
            return
        (folder / "agent.s16").write_bytes(speech(24_000).tobytes())
        (folder / "caller.opus").write_bytes(
            b"".join(len(packet).to_bytes(2, "little") + packet for packet in browser_packets(False))
        )

        def measure() -> float:
            ran = subprocess.run(
                [folder / "floor", library_path(), folder / "agent.s16", folder / "caller.opus"],
                capture_output=True,
                text=True,
                check=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {stack.SERVER_CORE}),
            )
            return float(ran.stdout)

        yield measure


def _add_floor(report: BenchReport, measured: list[float | None]) -> float | None:
    costs = [cost for cost in measured if cost is not None]
    if not costs:
        return None
    cost = sum(costs) / len(costs)
    report.add(
        server="floor: the same in C", talk="everyone talks", ms_per_session_s=cost, sessions_per_core=1000 / cost
    )
    return cost
