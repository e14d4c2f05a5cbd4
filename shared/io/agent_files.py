"""Reads agent files and says, in words with a cure, what is wrong with one."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from shared.agent import AgentDefinition
from shared.errors import ConfigError


def load_agents(folder: Path) -> Mapping[str, AgentDefinition]:
    """All agents of `folder` by id. Raises `ConfigError` that names file, field and cure."""
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise ConfigError(f"no agent files (*.yaml) in {folder}: set ANTIPHON_AGENTS_DIR to a folder that has some")
    agents: dict[str, AgentDefinition] = {}
    for file in files:
        agent = _load(file)
        if agent.id in agents:
            raise ConfigError(f"{file}: id: '{agent.id}' is used by another file: give each agent an id of its own")
        agents[agent.id] = agent
    return agents


def _load(file: Path) -> AgentDefinition:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {error}: check indentation and quotes at the place named") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: an agent file is a mapping: begin with 'id:' and 'name:'")
    try:
        return AgentDefinition.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(file, problem) for problem in error.errors())) from error


def _explain(file: Path, problem: Mapping[str, object]) -> str:
    location = problem["loc"]
    field = ".".join(map(str, location)) if isinstance(location, tuple) else str(location)
    match problem["type"]:
        case "extra_forbidden":
            cure = "no such field: remove it or correct its spelling"
        case "missing":
            cure = "missing: add it"
        case "string_pattern_mismatch":
            context = problem.get("ctx")
            pattern = context.get("pattern") if isinstance(context, dict) else None
            cure = f"{problem.get('input')!r} cannot stand here: write it so that it matches {pattern}"
        case "model_type" | "dict_type":
            cure = f"a mapping is wanted here, not {problem.get('input')!r}: indent its fields below it"
        case "int_parsing" | "int_type" | "float_parsing" | "float_type":
            cure = f"a number is wanted here, not {problem.get('input')!r}: write it without quotes or units"
        case "value_error":
            cure = str(problem["msg"]).removeprefix("Value error, ")
        case _:
            cure = f"{problem['msg']} (found {problem.get('input')!r})"
    return f"{file}: {field}: {cure}"
