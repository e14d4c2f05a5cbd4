"""An engine's section of an agent file: reads its options, checks what they need, and reports mistakes by place.

A provider gets an agent with one engine and knows neither the file nor whether the engine is a fallback. Its errors
begin with `agent 'desk': text_to_speech...` or `agent 'desk (fallback)': ...`, and `located_errors` completes them.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.agent import AgentDefinition, EngineChoice
from shared.errors import ConfigError
from shared.validation_errors import explain

_FALLBACK = " (fallback)"
_BEGINNING = re.compile(rf"^agent '(?P<id>[^']*?)(?P<fallback>{re.escape(_FALLBACK)})?': (?P<section>\w*)", re.M)


class Options(BaseModel):
    """Base of every engine's options: an unknown option is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Options = TypeVar("_Options", bound=BaseModel)


def read_options(agent: AgentDefinition, section: str, model: type[_Options]) -> _Options:
    """The options of `section` (such as `text_to_speech`). Raises `ConfigError` naming agent, field and cure."""
    choice: EngineChoice = getattr(agent, section)
    try:
        return model.model_validate(choice.options)
    except ValidationError as error:
        raise ConfigError(explain(error, f"agent '{agent.id}': {section}.options.", noun="option")) from error


def require_package(agent: AgentDefinition, section: str, package: str, extra: str) -> None:
    """Raises `ConfigError` if the Python package is not installed. Does not import it."""
    if find_spec(package) is None:
        raise ConfigError(
            f"agent '{agent.id}': {section}.engine: '{extra}' is an extra that is not installed: "
            f"pip install 'antiphon[{extra}]'"
        )


def require_file(agent: AgentDefinition, field: str, path: Path, what: str) -> None:
    """Raises `ConfigError` if there is no file or folder at `path`; `what` says what it should be."""
    if not path.exists():
        raise ConfigError(f"agent '{agent.id}': {field}: no {what} at {path}: correct the path, or put one there")


def as_fallback(agent_id: str) -> str:
    """The id of an agent's fallback for providers, because both may use the same engine."""
    return agent_id + _FALLBACK


@contextlib.contextmanager
def located_errors(agents: Mapping[str, AgentDefinition], section: str) -> Iterator[None]:
    """Adds the file and the field to the `ConfigError` of a provider that serves `section`."""

    def place(found: re.Match[str]) -> str:
        if (agent := agents.get(found["id"])) is None:
            return found[0]
        of_fallback = found["fallback"] and found["section"] == section
        return f"{agent.place}: {section}.fallback" if of_fallback else f"{agent.place}: {found['section']}"

    try:
        yield
    except ConfigError as error:
        raise ConfigError(_BEGINNING.sub(place, error.message)) from error
