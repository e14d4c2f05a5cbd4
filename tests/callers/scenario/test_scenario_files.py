from pathlib import Path

import pytest

from callers.scenario.scenario_files import load_scenarios
from shared.errors import ConfigError

GOOD = "name: A call\nagent: desk\nsteps: [hang_up]\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "call.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_holds_one_scenario_or_several(tmp_path: Path) -> None:
    file = written(tmp_path, f"{GOOD}---\n{GOOD.replace('A call', 'Another')}")
    assert [(path, scenario.name) for path, scenario in load_scenarios([file])] == [(file, "A call"), (file, "Another")]


def test_the_agents_folder_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    ((_, scenario),) = load_scenarios([written(tmp_path, f"{GOOD}agents_dir: agents\n")])
    assert scenario.agents_dir == (tmp_path / "agents").resolve()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty: begin with 'name:'"),
        ("- a list", "a scenario is a mapping"),
        ("name: [", "not YAML"),
        ("name: A call\nagent: desk\n", "steps: missing: add it"),
        (f"{GOOD}agent: bar\n", "line 4: 'agent' is already in line 2: remove one of the two"),
        (GOOD.replace("A call", "no"), "name: YAML reads yes, no, on"),
        (f"{GOOD}colour: red\n", "colour: no such field: remove it or correct its spelling"),
        (f"{GOOD}agents_dir: nowhere\n", "agents_dir: no folder"),
        ("name: A call\nagent: desk\nsteps: [hang_up, sing]\n", "steps[2]: a step has exactly one of these words: say"),
        (
            "name: A call\nagent: desk\nsteps: [{pause: 3}]\n",
            "steps[1].pause: write a time with its unit: 300ms or 1.2s",
        ),
        (
            "name: A call\nagent: desk\nsteps: [{say: a, expect: [{transcript: {role: me}}]}]\n",
            "steps[1].say.expect[1].transcript.role: Input should be 'user' or 'agent' (found 'me')",
        ),
    ],
)
def test_an_error_names_the_file_the_field_and_the_cure(tmp_path: Path, text: str, told: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_scenarios([file])
    assert error.value.message.startswith(f"{file}: ")
    assert told in error.value.message


def test_a_bad_step_is_not_also_reported_as_too_few_steps(tmp_path: Path) -> None:
    start = "name: A call\nagent: desk\nsteps: "
    with pytest.raises(ConfigError) as bad_step:
        load_scenarios([written(tmp_path, f"{start}[{{pause: 3}}]\n")])
    assert "\n" not in bad_step.value.message
    with pytest.raises(ConfigError, match="steps: Tuple should have at least 1 item"):
        load_scenarios([written(tmp_path, f"{start}[]\n")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file or directory: use a file"):
        load_scenarios([tmp_path / "none.yaml"])
