"""Every branch of turn taking is covered by its own tests."""

import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.source_tree import ROOT

SUBJECTS = ("turns/*", "hearing/completeness", "hearing/endpointing", "hearing/talkspurts", "telemetry/turn_metrics")


def test_every_branch_of_turn_taking_is_covered_by_its_own_tests(tmp_path: Path) -> None:
    """Without the hypothesis tests, whose examples differ from run to run."""
    modules = ",".join(f"pipeline_worker/{name}.py" for name in SUBJECTS)
    folders = [f"tests/pipeline_worker/{folder}" for folder in ("turns", "hearing")]
    tests = [*folders, "tests/pipeline_worker/telemetry/test_turn_metrics.py"]
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not hypothesis", *tests]
    coverage("run", "--branch", f"--include={modules}", *pytest, data=tmp_path)
    coverage("report", "--show-missing", "--skip-covered", "--fail-under=100", data=tmp_path)


def coverage(*arguments: str, data: Path) -> None:
    environment = {**os.environ, "COVERAGE_FILE": str(data / "coverage"), "COVERAGE_RCFILE": os.devnull}
    command = [sys.executable, "-m", "coverage", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
