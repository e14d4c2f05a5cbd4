"""Reads scenario files and says, in words with a cure, what is wrong with one."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from deploy.evaluation.scenario import Scenario
from shared.errors import ConfigError
from shared.io.yaml_file import read_yaml
from shared.validation_errors import advice


def load_scenarios(files: Iterable[Path]) -> list[tuple[Path, Scenario]]:
    """All scenarios with the files they are from. Raises `ConfigError` that names file, field and cure."""
    return [(file, scenario) for file in files for scenario in _load(file)]


def _load(file: Path) -> list[Scenario]:
    """A file may hold several, divided by `---`."""
    documents = [document for document in read_yaml(file) if document]
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
        case "verb":
            cure = str(problem["msg"])
        case "value_error":
            cure = f"{advice(problem)} (found {problem.get('input')!r})"
        case _:
            cure = advice(problem)
    return f"{file}: {_place(problem['loc'])}: {cure}"


def _place(location: object) -> str:
    """`("steps", 2, "pause", "pause")` is "steps[3].pause": people count from one, and see a verb once."""
    place, last = "", None
    for part in location if isinstance(location, tuple) else (location,):
        if part != last:
            place += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if place else str(part)
        last = part
    return place
