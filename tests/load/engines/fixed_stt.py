"""Speech to text that hears the same question in everything, after a fixed time. With `short_ms`, a short sound is an
"uh-huh"."""

import asyncio

from pydantic import Field

from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import Transcript
from shared.agent import AgentDefinition
from shared.audio import UPLINK_RATE, Pcm, samples_in

_QUESTION, _MURMUR = "what do you have today?", "uh-huh"


class FixedSttOptions(Options):
    final_ms: int = Field(150, ge=0)
    short_ms: int = Field(0, ge=0, description="up to so much sound, with the quiet around it, is an uh-huh")


class _Stream:
    def __init__(self, options: FixedSttOptions) -> None:
        self._final_s = options.final_ms / 1000
        self._short = samples_in(options.short_ms, UPLINK_RATE)
        self._samples = 0

    async def push(self, samples: Pcm) -> Transcript | None:
        self._samples += len(samples)
        return Transcript(self._heard, False)

    async def finish(self) -> Transcript:
        await asyncio.sleep(self._final_s)
        return Transcript(self._heard, True)

    @property
    def _heard(self) -> str:
        return _MURMUR if self._samples <= self._short else _QUESTION

    async def cancel(self) -> None:
        """There is nothing to give up."""


class _SpeechToText:
    def __init__(self, options: FixedSttOptions) -> None:
        self._options = options

    def open(self) -> _Stream:
        return _Stream(self._options)

    async def close(self) -> None:
        """Nothing to close."""


class FixedSpeechToTextProvider:
    def __init__(self) -> None:
        self._options: dict[str, FixedSttOptions] = {}

    def add(self, agent: AgentDefinition) -> None:
        self._options[agent.id] = read_options(agent, "speech_to_text", FixedSttOptions)

    async def start(self) -> None:
        """Nothing to load."""

    def open(self, agent_id: str) -> _SpeechToText:
        return _SpeechToText(self._options[agent_id])

    async def close(self) -> None:
        """Nothing to close."""
