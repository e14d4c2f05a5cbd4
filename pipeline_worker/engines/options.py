"""Reads the options that an agent file gives an engine."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.agent import AgentDefinition, EngineChoice
from shared.errors import ConfigError
from shared.field_mistakes import cure_of


class Options(BaseModel):
    """Base of every engine's options: what is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Options = TypeVar("_Options", bound=BaseModel)


def read_options(agent: AgentDefinition, section: str, model: type[_Options]) -> _Options:
    """The options of `section` (such as `text_to_speech`). Raises `ConfigError` naming agent, field and cure."""
    choice: EngineChoice = getattr(agent, section)
    try:
        return model.model_validate(choice.options)
    except ValidationError as error:
        where = f"agent '{agent.id}': {section}.options"
        raise ConfigError("\n".join(_explain(where, problem) for problem in error.errors())) from error


def _explain(where: str, problem: Mapping[str, object]) -> str:
    location = problem["loc"]
    field = ".".join([where, *map(str, location)]) if isinstance(location, tuple) else where
    if problem["type"] == "extra_forbidden":
        return f"{field}: no such option: remove it or correct its spelling"
    return f"{field}: {cure_of(problem)}"
