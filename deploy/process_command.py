"""Command lines, environments and failures of child processes."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy import bound_process
from shared.errors import AntiphonError

APP_FOLDER = Path(__file__).resolve().parent.parent
"""The folder with our packages, whether installed or in the source tree."""


class ProcessFailed(AntiphonError):
    """A child process cannot be kept running. The message includes its own reason."""

    code = "process_failed"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def module_command(module: str) -> list[str]:
    """Runs one of our modules. `-P`: the current folder, which may have a folder named `gateway`, is not searched."""
    return [sys.executable, "-P", "-m", module]


def bound_command(command: list[str]) -> list[str]:
    """`command`, killed by the kernel when this process dies for any reason."""
    # Isolated and without site-packages, it starts in a few milliseconds and ignores the environment.
    return [sys.executable, "-I", "-S", str(Path(bound_process.__file__)), str(os.getpid()), *command]


def with_import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with an import path on which children find our packages."""
    inherited = environment.get("PYTHONPATH")
    path = str(APP_FOLDER) if not inherited else f"{APP_FOLDER}{os.pathsep}{inherited}"
    return {**environment, "PYTHONPATH": path}
