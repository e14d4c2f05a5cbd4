from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.io.agent_files import load_agents

DESK = "id: desk\nname: Desk\n"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")


def test_every_yaml_file_is_an_agent(tmp_path: Path) -> None:
    write(tmp_path, desk_yaml=DESK, echo_yml="id: echo\nname: Echo Ünit\nmode: echo\n", notes_txt="no agent")
    agents = load_agents(tmp_path)
    assert {id_: (agent.name, agent.mode) for id_, agent in agents.items()} == {
        "desk": ("Desk", "conversation"),
        "echo": ("Echo Ünit", "echo"),
    }


def test_the_shipped_agents_are_valid() -> None:
    assert set(load_agents(Path(__file__).parents[3] / "deploy" / "agents")) >= {"front-desk", "echo"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: Desk\n", "id: missing: add it"),
        (DESK + "colour: red\n", "colour: no such field: remove it or correct its spelling"),
        (DESK + "turn_taking: {endpointing_ms: 5}\n", "turn_taking.endpointing_ms: "),
        (DESK + "turn_taking: {endpointing_ms: 5}\n", "(found 5)"),
        (DESK + "tools: [{name: find, description: Finds}]\n", "tools.0: a tool is one of webhook, python and builtin"),
        ("id: My Desk\nname: Desk\n", "id: 'My Desk' is not allowed here: write it so that it matches ^[a-z0-9]"),
        (DESK + "greeting: Hello!\n", "greeting: expected a mapping, not 'Hello!': indent its fields below it"),
        (DESK + "turn_taking: {endpointing_ms: 5s}\n", "endpointing_ms: expected a number, not '5s'"),
        (DESK + "name: Bar\n", "line 3: 'name' is already in line 2: remove one of the two"),
        (DESK + "---\n" + DESK, "a file holds one agent: move what follows '---' to another file"),
        (DESK + "turn_taking: {backchannels: [yes, okay]}\n", "turn_taking.backchannels.0: YAML reads yes, no, on"),
        (DESK + "idle: {prompts: [Hello]}\n", "idle: idle needs prompt_after_s: add it"),
        ("id: [unclosed\n", "not YAML"),
        ("- id: desk\n", "an agent file is a mapping"),
        ("", "an agent file is a mapping"),
        ("id: !!python/object/apply:os.getcwd []\n", "not YAML"),
    ],
)
def test_an_error_names_file_field_and_remedy(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, good_yaml=DESK, desk_yaml=text)
    with pytest.raises(ConfigError) as raised:
        load_agents(tmp_path)
    assert str(tmp_path / "desk.yaml") in raised.value.message
    assert told in raised.value.message


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match=r"desk\.yaml: not YAML"):
        load_agents(tmp_path)


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    write(tmp_path, desk_yaml="name: ''\ncolour: red\n")
    with pytest.raises(ConfigError) as raised:
        load_agents(tmp_path)
    assert len(raised.value.message.splitlines()) == 3


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=DESK, b_yaml=DESK)
    with pytest.raises(ConfigError, match=r"b\.yaml: id: 'desk' is used by a.yaml"):
        load_agents(tmp_path)


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_folder_without_agents_is_refused_with_the_setting(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="set ANTIPHON_AGENTS_DIR"):
        load_agents(tmp_path / folder)
