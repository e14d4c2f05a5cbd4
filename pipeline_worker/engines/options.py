"""Reads the options that an agent file gives an engine."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.agent import AgentDefinition, EngineChoice
from shared.errors import ConfigError
from shared.validation_errors import explain


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
        raise ConfigError(explain(error, f"agent '{agent.id}': {section}.options.", noun="option")) from error
