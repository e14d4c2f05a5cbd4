"""Reads scenario files. Errors name the file, the field and the cure."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from callers.scenario.scenario import Scenario
from shared.errors import ConfigError
from shared.io.yaml_file import read_yaml
from shared.validation_errors import advice


def load_scenarios(files: Iterable[Path]) -> list[tuple[Path, Scenario]]:
    """Each scenario with the file it is from. Raises `ConfigError`."""
    return [(file, scenario) for file in files for scenario in _load(file)]


def _load(file: Path) -> list[Scenario]:
    """A file may hold several scenarios, separated by `---`."""
    documents = [document for document in read_yaml(file) if document]
    if not documents:
        raise ConfigError(f"{file}: the file is empty: begin with 'name:', 'agent:' and 'steps:'")
    return [_read(file, document) for document in documents]


def _read(file: Path, document: object) -> Scenario:
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: a scenario is a mapping: begin with 'name:', 'agent:' and 'steps:'")
    try:
        scenario = Scenario.model_validate(document)
    except ValidationError as error:
        problems = error.errors()
        inner = {problem["loc"][0] for problem in problems if len(problem["loc"]) > 1}
        # Pydantic leaves out bad steps, and then also reports that there are too few.
        shown = [problem for problem in problems if problem["type"] != "too_short" or problem["loc"][0] not in inner]
        raise ConfigError("\n".join(_explain(file, problem) for problem in shown)) from error
    if scenario.agents_dir is None:
        return scenario
    folder = file.parent / scenario.agents_dir
    if not folder.is_dir():
        raise ConfigError(f"{file}: agents_dir: no folder {folder}: name an existing one, relative to this file")
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
    """`("steps", 2, "pause", "pause")` is "steps[3].pause": people count from one, and need a verb only once."""
    place, last = "", None
    for part in location if isinstance(location, tuple) else (location,):
        if part != last:
            place += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if place else str(part)
        last = part
    return place
