"""The parts of the benchmark, and what is asked of it."""

import asyncio
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.load.bench_report import BenchReport
from tests.load.speech import hearing_delay, speaking_delay, understanding, word_error_rate, worker_load
from tests.load.speech.misheard import Misheard

_PARTS: dict[str, Callable[[BenchReport, Misheard, Namespace], Coroutine[Any, Any, None]]] = {
    "words": lambda report, misheard, options: word_error_rate.measure(report, misheard),
    "hearing": lambda report, misheard, options: hearing_delay.measure(report),
    "speaking": lambda report, misheard, options: speaking_delay.measure(report),
    "worker": lambda report, misheard, options: worker_load.measure(report, options.sessions),
    "understanding": lambda report, misheard, options: understanding.measure(report, misheard, options.all),
}


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS), help="only these")
    parser.add_argument("--sessions", type=int, default=8, metavar="N", help="that the worker on one core carries (8)")
    parser.add_argument("--all", action="store_true", help="all requests are spoken to the front desk, not 80")
    parser.add_argument("--misheard", type=Path, metavar="FILE", help="write there what was said and not understood")


def run(report: BenchReport, options: Namespace) -> None:
    misheard = Misheard()
    for part in options.parts:
        began_s = time.monotonic()
        asyncio.run(_PARTS[part](report, misheard, options))
        print(f"{part}: {time.monotonic() - began_s:.0f} s", flush=True)
    if options.misheard is not None:
        misheard.write(options.misheard)
