"""Command lines and environment of the processes that we start."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy import bound_process

APP_FOLDER = Path(__file__).resolve().parent.parent
"""Where our packages lie, whether installed or in the source tree."""


def module_command(module: str) -> list[str]:
    """Run one of our modules. `-P`: a folder named `gateway` where the user happens to stand must not win."""
    return [sys.executable, "-P", "-m", module]


def bound_command(command: list[str]) -> list[str]:
    """`command`, killed by the kernel when this process dies, however it dies."""
    # Isolated and without site-packages: it starts in a few milliseconds, whatever the environment says.
    return [sys.executable, "-I", "-S", str(Path(bound_process.__file__)), str(os.getpid()), *command]


def with_import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` in which a child finds our packages."""
    inherited = environment.get("PYTHONPATH")
    path = str(APP_FOLDER) if not inherited else f"{APP_FOLDER}{os.pathsep}{inherited}"
    return {**environment, "PYTHONPATH": path}
