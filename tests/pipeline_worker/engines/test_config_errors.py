import pytest

from pipeline_worker.engines.config_errors import as_fallback, told_in_place
from shared.agent import AgentDefinition
from shared.errors import ConfigError

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
def test_a_mistake_is_told_where_it_stands(message: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised, told_in_place(AGENTS, "speech_to_text"):
        raise ConfigError(message)
    assert raised.value.message == told
