"""How soon the voice is heard, and what its speech costs of the processor."""

import time
from contextlib import aclosing

from tests.load.bench_report import BenchReport
from tests.load.delays import Delays
from tests.load.speech.clauses import CLAUSES
from tests.load.speech.engines import cpu_s, piper
from tests.load.steal import watching

_FIRST_AUDIO_P95_MS = 250.0
_WHOLE_CLAUSES = 12


async def measure(report: BenchReport) -> None:
    async with piper() as joe, watching() as watch:
        delays = Delays(watch)
        for clause in CLAUSES:
            asked_s = time.monotonic()
            async with aclosing(joe.engine.speak(clause)) as pieces:
                async for piece in pieces:
                    if len(piece.samples):
                        break
                delays.add(time.monotonic(), time.monotonic() - asked_s)
        used, samples = cpu_s(joe.pids), 0
        for clause in CLAUSES[:_WHOLE_CLAUSES]:
            samples += sum([len(piece.samples) async for piece in joe.engine.speak(clause)])
        share = (cpu_s(joe.pids) - used) / (samples / joe.engine.sample_rate)
    delays.row(report, "clause of 9 to 12 words -> first audio of Piper joe")
    report.add(what="voice: CPU seconds per second of speech", n=_WHOLE_CLAUSES, value=share)
    report.bar("first audio of a clause, p95 ms", delays.percentile(95), _FIRST_AUDIO_P95_MS, "lower")
