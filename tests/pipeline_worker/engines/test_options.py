from pathlib import Path

import pytest
from pydantic import Field, field_validator

from pipeline_worker.engines.options import (
    Options,
    as_fallback,
    located_errors,
    read_options,
    require_file,
    require_package,
)
from shared.agent import AgentDefinition
from shared.errors import ConfigError


class Voice(Options):
    name: str
    rate: int = Field(165, ge=80)

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name == "nobody":
            raise ValueError("no voice of that name: choose another")
        return name


def agent(**options: object) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {"id": "desk", "name": "Desk", "text_to_speech": {"engine": "any", "options": options}}
    )


def test_options_are_read() -> None:
    assert read_options(agent(name="ann", rate=200), "text_to_speech", Voice) == Voice(name="ann", rate=200)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "agent 'desk': text_to_speech.options.name: missing: add it"),
        ({"name": "ann", "pace": 1}, "options.pace: no such option: remove it or correct its spelling"),
        ({"name": "ann", "rate": 10}, "options.rate: Input should be greater than or equal to 80 (found 10)"),
        ({"name": "nobody"}, "options.name: no voice of that name: choose another"),
    ],
)
def test_an_error_names_agent_field_and_remedy(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_options(agent(**options), "text_to_speech", Voice)
    assert told in raised.value.message


def test_every_problem_has_a_line() -> None:
    with pytest.raises(ConfigError) as raised:
        read_options(agent(rate=10, pace=1), "text_to_speech", Voice)
    assert len(raised.value.message.splitlines()) == 3


def test_an_installed_package_is_not_imported() -> None:
    require_package(agent(), "speech_to_text", "this", "zen")  # importing it would print


def test_the_error_for_a_missing_package_has_a_remedy() -> None:
    with pytest.raises(ConfigError) as raised:
        require_package(agent(), "speech_to_text", "no_such_package", "faster-whisper")
    assert raised.value.message == (
        "agent 'desk': speech_to_text.engine: 'faster-whisper' is an extra that is not installed: "
        "pip install 'antiphon[faster-whisper]'"
    )


def test_the_error_for_a_missing_file_names_its_field(tmp_path: Path) -> None:
    require_file(agent(), "text_to_speech.options.model", tmp_path, "voice")
    with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.model: no voice at .*/amy\.onnx: "):
        require_file(agent(), "text_to_speech.options.model", tmp_path / "amy.onnx", "voice")


AGENTS = {
    "desk": AgentDefinition(id="desk", name="Desk").read_from("agents/desk.yaml"),
    "bar": AgentDefinition(id="bar", name="Bar"),
}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("agent 'desk': speech_to_text.engine: no", "agents/desk.yaml: agent 'desk': speech_to_text.engine: no"),
        (
            f"agent '{as_fallback('desk')}': speech_to_text.options.a: no\nagent '{as_fallback('desk')}': tools: no",
            "agents/desk.yaml: agent 'desk': speech_to_text.fallback.options.a: no\n"
            "agents/desk.yaml: agent 'desk': tools: no",
        ),
        (f"agent '{as_fallback('bar')}': speech_to_text: no", "agent 'bar': speech_to_text.fallback: no"),
        ("agent 'other': speech_to_text: no", "agent 'other': speech_to_text: no"),
        ("no agent 'desk': at all", "no agent 'desk': at all"),
    ],
)
def test_an_error_names_the_file_and_the_field(message: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised, located_errors(AGENTS, "speech_to_text"):
        raise ConfigError(message)
    assert raised.value.message == told
