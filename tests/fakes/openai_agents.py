"""Agents whose engines are a loopback server of OpenAI's protocol."""

from typing import Any

from shared.agent import AgentDefinition

_NEEDED = {"language_model": {}, "speech_to_text": {}, "text_to_speech": {"voice": "nova"}}


def openai_agent(section: str, base_url: str, agent: dict[str, Any] | None = None, **options: Any) -> AgentDefinition:
    """`section` (such as `language_model`) is served from `base_url`; `agent` holds other fields of the agent."""
    choice = {"engine": "openai", "options": {"model": "m", "base_url": base_url, **_NEEDED[section], **options}}
    return AgentDefinition.model_validate({"id": "desk", "name": "Desk", section: choice, **(agent or {})})
