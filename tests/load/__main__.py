"""`python -m tests.load NAME [--json FILE]`: benchmarks that print their figure, its peer's, and the bars."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from tests.load import arrivals, chaos, gateways, hostile, plan, soak
from tests.load.bench_report import BenchReport
from tests.load.speech import benchmark as speech

BENCHMARKS = {
    "arrivals": "callers who arrive a few at a time while everything that serves them shares one core",
    "broker": "the broker at the message rate of 5,000 sessions, one server and a cluster",
    "chaos": "what callers notice when processes die, hang, drain or lose their broker",
    "density": "sessions on a core of a media worker, beside plain aiortc and the same work in C",
    "flat": "whether a session costs the same from ten sessions to the knee, and with two media workers",
    "gateways": "set-ups on a core of a gateway, WebSockets in a gigabyte, and events",
    "hostile": "attacks beside callers who talk: what they hear, and what is left",
    "latency": "a media worker's delay each way, and mouth to ear",
    "loss": "what is heard when packets are lost",
    "memory": "of a media worker, per session",
    "pipeline": "sessions on a core of a pipeline worker, engines over the network",
    "plan": "a capacity table from measured unit costs",
    "soak": "what is left behind by callers who come and go while processes die",
    "speech": "the engines that come with Antiphon: words, delays, sessions on a core, requests understood",
    "system": "sessions on a core that carries the whole stack, with voice activity detection",
    "turns": "turn taking in the sound that callers send and hear",
}


WITH_OPTIONS = {
    "arrivals": arrivals,
    "chaos": chaos,
    "gateways": gateways,
    "hostile": hostile,
    "plan": plan,
    "soak": soak,
    "speech": speech,
}


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="write figures and bars there")
    whole = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    names = whole.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, subject in BENCHMARKS.items():
        benchmark = names.add_parser(name, help=subject, description=subject, parents=[common])
        if name in WITH_OPTIONS:
            WITH_OPTIONS[name].add_options(benchmark)
    return whole


def main() -> int:
    arguments = parser().parse_args()
    report = BenchReport(arguments.name)
    if arguments.name in WITH_OPTIONS:
        WITH_OPTIONS[arguments.name].run(report, arguments)
    else:
        import_module(f"tests.load.{arguments.name}").run(report)
    report.print()
    if arguments.json is not None:
        report.write(arguments.json)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
