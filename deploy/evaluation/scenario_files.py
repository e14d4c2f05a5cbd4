"""Reads scenario files and says, in words with a cure, what is wrong with one."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from deploy.evaluation.scenario import Scenario
from shared.errors import ConfigError


def load_scenarios(files: Iterable[Path]) -> list[tuple[Path, Scenario]]:
    """All scenarios with the files they are from. Raises `ConfigError` that names file, field and cure."""
    return [(file, scenario) for file in files for scenario in _load(file)]


def _load(file: Path) -> list[Scenario]:
    """A file may hold several, divided by `---`."""
    try:
        documents = [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: name a file that can be read") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {error}: check indentation and quotes at the place named") from error
    if not documents:
        raise ConfigError(f"{file}: it is empty: begin with 'name:', 'agent:' and 'steps:'")
    return [_read(file, document) for document in documents]


def _read(file: Path, document: object) -> Scenario:
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: a scenario is a mapping: begin with 'name:', 'agent:' and 'steps:'")
    try:
        scenario = Scenario.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(file, problem) for problem in error.errors())) from error
    if scenario.agents_dir is None:
        return scenario
    folder = file.parent / scenario.agents_dir
    if not folder.is_dir():
        raise ConfigError(f"{file}: agents_dir: no folder {folder}: name one that is there, relative to this file")
    return scenario.model_copy(update={"agents_dir": folder.resolve()})


def _explain(file: Path, problem: Mapping[str, object]) -> str:
    match problem["type"]:
        case "extra_forbidden":
            cure = "no such field: remove it or correct its spelling"
        case "missing":
            cure = "missing: add it"
        case "verb":
            cure = str(problem["msg"])
        case _:
            cure = f"{str(problem['msg']).removeprefix('Value error, ')} (found {problem.get('input')!r})"
    return f"{file}: {_place(problem['loc'])}: {cure}"


def _place(location: object) -> str:
    """`("steps", 2, "pause", "pause")` is "steps[3].pause": people count from one, and see a verb once."""
    place, last = "", None
    for part in location if isinstance(location, tuple) else (location,):
        if part != last:
            place += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if place else str(part)
        last = part
    return place
