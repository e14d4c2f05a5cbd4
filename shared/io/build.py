"""The build that this process runs: its version, and the version of what it writes to the broker."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client import Gauge

from shared.keys import WIRE_VERSION

_info = Gauge("antiphon_build_info", "1; its labels name the build", ["version", "wire"])


def own_version() -> str:
    """Of the source tree that this file is in, else of the installed package."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if project.exists():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return version("antiphon")
    except PackageNotFoundError:  # neither
        return ""


def show_build() -> None:
    """Set the metric."""
    _info.labels(own_version(), str(WIRE_VERSION)).set(1)
