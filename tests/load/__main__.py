"""`python -m tests.load NAME [--json FILE]`: benchmarks that print their figure, its peer's, and the bars."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.load import density, latency, loss, memory, pipeline, turns
from tests.load.bench_report import BenchReport

BENCHMARKS: dict[str, Callable[[BenchReport], None]] = {
    "density": density.run,
    "latency": latency.run,
    "loss": loss.run,
    "memory": memory.run,
    "pipeline": pipeline.run,
    "turns": turns.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and bars there")
    arguments = parser.parse_args()
    report = BenchReport(arguments.name)
    BENCHMARKS[arguments.name](report)
    report.print()
    if arguments.json is not None:
        report.write(arguments.json)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
