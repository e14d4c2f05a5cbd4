import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS, Refused

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 2
_TIMEOUT_S = 60
_TRIALS = 500


def seeds(name: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted(SEEDS[name].iterdir()) if file.suffix != ".md"]


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A few edits of valid input: bytes replaced, removed, inserted, or taken from elsewhere in it."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        begin, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        copied = draw(st.integers(0, len(data)))
        piece = draw(st.one_of(st.binary(max_size=8), st.just(data[copied : copied + end - begin])))
        data = data[:begin] + piece + data[draw(st.sampled_from([begin, end, begin + len(piece)])) :]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_the_parser_takes_what_the_fuzzer_begins_with(name: str) -> None:
    assert seeds(name)
    for data in seeds(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_refused_or_taken(name: str) -> None:
    @settings(max_examples=_TRIALS)
    @given(st.one_of(damaged(seeds(name)), st.binary(max_size=200)))
    def try_one(data: bytes) -> None:
        try:
            TARGETS[name](data)
        except Refused:
            return

    try_one()


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has wheels for Linux on x86-64 only")
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_the_parser(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(_SECONDS)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "TMPDIR": str(tmp_path)}  # libFuzzer tidies nothing up
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Done " in ran.stderr
