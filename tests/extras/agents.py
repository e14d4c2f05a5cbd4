"""Agents that use one engine."""

from shared.agent import AgentDefinition


def agent_with(section: str, engine: str, **options: object) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {"id": "desk", "name": "Desk", "instructions": "Be brief.", section: {"engine": engine, "options": options}}
    )
