"""Reads agent files. An error says what is wrong and what to do about it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from shared.agent import AgentDefinition
from shared.errors import ConfigError
from shared.io.yaml_file import read_yaml
from shared.validation_errors import explain


def load_agents(folder: Path) -> Mapping[str, AgentDefinition]:
    """All agents of `folder` by id. Raises `ConfigError` that names file, field and cure."""
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise ConfigError(f"no agent files (*.yaml) in {folder}: set ANTIPHON_AGENTS_DIR to a folder with agent files")
    agents: dict[str, AgentDefinition] = {}
    named_by: dict[str, Path] = {}
    for file in files:
        agent = _load(file)
        if agent.id in agents:
            other = named_by[agent.id].name
            raise ConfigError(f"{file}: id: '{agent.id}' is used by {other}: give each agent its own id")
        agents[agent.id] = agent
        named_by[agent.id] = file
    return agents


def _load(file: Path) -> AgentDefinition:
    documents = read_yaml(file)
    if len(documents) > 1:
        raise ConfigError(f"{file}: a file holds one agent: move what follows '---' to another file")
    content = documents[0] if documents else None
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: an agent file is a mapping: start with 'id:' and 'name:'")
    try:
        return AgentDefinition.model_validate(content).read_from(str(file))
    except ValidationError as error:
        raise ConfigError(explain(error, f"{file}: ")) from error
