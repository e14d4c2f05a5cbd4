"""Engines that not everybody installs: says what to install, before anything is loaded."""

from importlib.util import find_spec
from pathlib import Path

from shared.agent import AgentDefinition
from shared.errors import ConfigError


def require_package(agent: AgentDefinition, section: str, package: str, extra: str) -> None:
    """Raises `ConfigError` when the Python package is not installed. Does not import it."""
    if find_spec(package) is None:
        raise ConfigError(
            f"agent '{agent.id}': {section}.engine: '{extra}' is an extra that is not installed: "
            f"pip install 'antiphon[{extra}]'"
        )


def require_file(agent: AgentDefinition, field: str, path: Path, what: str) -> None:
    """Raises `ConfigError` when there is no file or folder at `path`; `what` says what it should be."""
    if not path.exists():
        raise ConfigError(f"agent '{agent.id}': {field}: no {what} at {path}: correct the path, or put one there")
