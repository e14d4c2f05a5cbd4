import pytest
from pydantic import Field, field_validator

from pipeline_worker.engines.options import Options, read_options
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
def test_what_is_wrong_is_named_with_agent_field_and_cure(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_options(agent(**options), "text_to_speech", Voice)
    assert told in raised.value.message


def test_every_problem_has_a_line() -> None:
    with pytest.raises(ConfigError) as raised:
        read_options(agent(rate=10, pace=1), "text_to_speech", Voice)
    assert len(raised.value.message.splitlines()) == 3
