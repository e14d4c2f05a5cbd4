"""Turn taking is covered by its own tests, every branch of it: what no test reaches nobody has thought about."""

import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.source_tree import ROOT

MEASURED = (
    "backchannels",
    "endpointing",
    "floor",
    "floor_clock",
    "speaker_pauses",
    "talkspurts",
    "turn_events",
    "turn_metrics",
    "turn_steps",
    "turn_taking",
    "utterance_text",
)


def test_every_branch_of_turn_taking_is_covered_by_its_own_tests(tmp_path: Path) -> None:
    """Without the tests by chance (hypothesis), which cover this today and that tomorrow."""
    modules = ",".join(f"pipeline_worker/core/{name}.py" for name in MEASURED)
    tests = [f"tests/pipeline_worker/core/test_{name}.py" for name in MEASURED]
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not hypothesis", *tests]
    coverage("run", "--branch", f"--include={modules}", *pytest, data=tmp_path)
    coverage("report", "--show-missing", "--skip-covered", "--fail-under=100", data=tmp_path)


def coverage(*arguments: str, data: Path) -> None:
    environment = {**os.environ, "COVERAGE_FILE": str(data / "coverage"), "COVERAGE_RCFILE": os.devnull}
    command = [sys.executable, "-m", "coverage", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
