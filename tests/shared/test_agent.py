import pytest
from pydantic import ValidationError

from shared.agent import AgentDefinition


def test_an_id_and_a_name_are_enough() -> None:
    agent = AgentDefinition(id="desk", name="Desk")
    assert agent.mode == "conversation"
    assert agent.pool == "default"
    assert agent.greeting is None
    assert agent.listed
    assert [agent.speech_to_text.engine, agent.language_model.engine, agent.text_to_speech.engine] == [
        "moonshine",
        "scripted",
        "piper",
    ]
    assert agent.turn_taking.barge_in


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "Front Desk"},
        {"id": ""},
        {"id": "-desk"},
        {"id": "x" * 65},
        {"id": "a:b"},  # It becomes part of keys and URLs.
        {"name": ""},
        {"mode": "sing"},
        {"pool": "*"},
        {"greeting": {"text": ""}},
        {"greeting": {"text": "Hello", "loud": True}},
        {"turn_taking": {"endpointing_ms": 5}},
        {"turn_taking": {"barge_in_ms": -1}},
        {"idle": {"farewell": "Bye."}},
        {"limits": {"max_duration_s": 0}},
        {"speech_to_text": {"options": {}}},
        {"unknown": 1},
    ],
    ids=str,
)
def test_an_unusable_definition_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AgentDefinition.model_validate({"id": "desk", "name": "Desk", **fields})
