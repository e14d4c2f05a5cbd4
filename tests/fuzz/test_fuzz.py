import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import SEEDS, TARGETS

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 2
_TIMEOUT_S = 60


def seeds(name: str) -> list[Path]:
    return sorted(file for file in SEEDS[name].iterdir() if file.suffix != ".md")


@pytest.mark.parametrize("name", TARGETS)
def test_the_parser_takes_what_the_fuzzer_begins_with(name: str) -> None:
    assert seeds(name)
    for file in seeds(name):
        TARGETS[name](file.read_bytes())


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has wheels for Linux on x86-64 only")
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_the_parser(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(_SECONDS)]
    ran = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(_ROOT)}, capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Done " in ran.stderr
