"""`python -m tests.fuzz NAME [--seconds N]`: feed a parser random bytes, guided by the code that they reach.

Ends with an error, a traceback and the bytes (a file in the working directory) as soon as one breaks the parser. What
reached new code is kept in `--corpus`, and the next run begins with it. `all` runs one after another, up to a failure.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("fuzzing needs atheris, which has wheels for Linux on x86-64 and Python below 3.14 only")

with atheris.instrument_imports(include=["gateway", "media_worker", "shared"]):
    from tests.fuzz.targets import SEEDS, TARGETS, Refused

_LONGEST_INPUT = 4_096
_SLOWEST_INPUT_S = 2
_MAX_MEMORY_MB = 1_024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=[*sorted(TARGETS), "all"])
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long to try (60)")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="where to keep what reached new code (nowhere)")
    arguments = parser.parse_args()
    if arguments.name == "all":
        rest = sys.argv[sys.argv.index("all") + 1 :]
        return int(any(subprocess.call([sys.executable, "-m", "tests.fuzz", name, *rest]) for name in TARGETS))
    with tempfile.TemporaryDirectory() as nowhere:
        corpus = arguments.corpus / arguments.name if arguments.corpus else Path(nowhere)
        corpus.mkdir(parents=True, exist_ok=True)
        _fuzz(arguments.name, corpus, arguments.seconds)
    return 0


def _fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Does not return: libFuzzer ends the process."""

    def try_one(data: bytes) -> None:
        try:
            TARGETS[name](data)
        except Refused:
            return

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST_INPUT}",
        f"-timeout={_SLOWEST_INPUT_S}",
        f"-rss_limit_mb={_MAX_MEMORY_MB}",
        "-seed=1",
    ]
    atheris.Setup([sys.argv[0], str(corpus), str(SEEDS[name]), *options], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
