"""Agents with one engine, and running providers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pipeline_worker.engines.protocols import Provider
from shared.agent import AgentDefinition

P = TypeVar("P", bound=Provider[Any])


def agent_with(section: str, engine: str, options: Mapping[str, object], **fields: object) -> AgentDefinition:
    choice = {"engine": engine, "options": options}
    fields = {"id": "desk", "name": "Desk", "language": "en-US", **fields}
    return AgentDefinition.model_validate({**fields, section: choice})


@asynccontextmanager
async def started(provider: P, *agents: AgentDefinition) -> AsyncIterator[P]:
    try:
        for agent in agents:
            provider.add(agent)
        await provider.start()
        yield provider
    finally:
        await provider.close()
