"""`python -m tests.fuzz NAME [--seconds N]`: feed a parser random bytes, guided by the code that they reach.

Ends with an error, a traceback and the bytes (a file in the working directory) as soon as one breaks the parser.
"""

import argparse
import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["gateway", "media_worker", "shared"]):
    from tests.fuzz.targets import SEEDS, TARGETS, Refused

_LONGEST_INPUT = 4_096
_SLOWEST_INPUT_S = 2
_MAX_MEMORY_MB = 1_024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long to try (60)")
    arguments = parser.parse_args()
    target = TARGETS[arguments.name]

    def try_one(data: bytes) -> None:
        try:
            target(data)
        except Refused:
            return

    with tempfile.TemporaryDirectory() as found:  # libFuzzer keeps what reached new code in the first folder
        options = [
            f"-max_total_time={arguments.seconds}",
            f"-max_len={_LONGEST_INPUT}",
            f"-timeout={_SLOWEST_INPUT_S}",
            f"-rss_limit_mb={_MAX_MEMORY_MB}",
            "-seed=1",
        ]
        atheris.Setup([sys.argv[0], found, str(SEEDS[arguments.name]), *options], try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
