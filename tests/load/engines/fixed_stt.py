"""Speech to text that hears a question in everything, after a fixed time."""

import asyncio

from pydantic import Field

from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import Recognised
from shared.agent import AgentDefinition
from shared.audio import Pcm

_HEARD = "what do you have today?"


class FixedSttOptions(Options):
    final_ms: int = Field(150, ge=0)


class _Stream:
    def __init__(self, final_s: float) -> None:
        self._final_s = final_s

    async def push(self, samples: Pcm) -> Recognised | None:
        return Recognised(_HEARD, False)

    async def finish(self) -> Recognised:
        await asyncio.sleep(self._final_s)
        return Recognised(_HEARD, True)

    async def cancel(self) -> None:
        """There is nothing to give up."""


class _SpeechToText:
    def __init__(self, final_s: float) -> None:
        self._final_s = final_s

    def open(self) -> _Stream:
        return _Stream(self._final_s)

    async def close(self) -> None:
        """There is nothing to close."""


class Provider:
    def __init__(self) -> None:
        self._options: dict[str, FixedSttOptions] = {}

    def add(self, agent: AgentDefinition) -> None:
        self._options[agent.id] = read_options(agent, "speech_to_text", FixedSttOptions)

    async def start(self) -> None:
        """Nothing to load."""

    def open(self, agent_id: str) -> _SpeechToText:
        return _SpeechToText(self._options[agent_id].final_ms / 1000)

    async def close(self) -> None:
        """Nothing to close."""
