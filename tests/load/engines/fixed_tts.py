"""Text to speech for tone words: its first sound after a fixed time, the rest at once, with word times or without."""

import asyncio
from collections.abc import AsyncGenerator

from pydantic import Field

from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import SpeechPiece
from shared.agent import AgentDefinition
from tests.load.tone_words import speak


class FixedTtsOptions(Options):
    first_audio_ms: int = Field(100, ge=0)
    word_times: bool = True


class _TextToSpeech:
    sample_rate = 24_000

    def __init__(self, options: FixedTtsOptions) -> None:
        self._options = options

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        samples, words = speak(text, self.sample_rate)
        await asyncio.sleep(self._options.first_audio_ms / 1000)
        yield SpeechPiece(samples, words if self._options.word_times else ())

    async def close(self) -> None:
        """Nothing to close."""


class FixedTextToSpeechProvider:
    def __init__(self) -> None:
        self._options: dict[str, FixedTtsOptions] = {}

    def add(self, agent: AgentDefinition) -> None:
        self._options[agent.id] = read_options(agent, "text_to_speech", FixedTtsOptions)

    async def start(self) -> None:
        """Nothing to load."""

    def open(self, agent_id: str) -> _TextToSpeech:
        return _TextToSpeech(self._options[agent_id])

    async def close(self) -> None:
        """Nothing to close."""
