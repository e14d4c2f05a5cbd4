"""From the words in an agent file to running engines, shared by all sessions of the process."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from pipeline_worker.engines.protocols import LanguageModel, SpeechToText, TextToSpeech, VoiceActivityDetector
from shared.agent import AgentDefinition, EngineChoice
from shared.errors import ConfigError, EngineError

# A module is imported when an agent names its engine; each has a `Provider`.
_MODULES: Mapping[str, Mapping[str, str]] = {
    "speech_to_text": {
        "pocketsphinx": "pipeline_worker.engines.pocketsphinx_stt",
        "openai": "pipeline_worker.engines.openai_stt",
        "deepgram": "pipeline_worker.engines.deepgram_stt",
        "moonshine": "pipeline_worker.engines.moonshine_stt",
        "faster-whisper": "pipeline_worker.engines.faster_whisper_stt",
        "livekit": "pipeline_worker.engines.livekit_stt",
    },
    "language_model": {
        "scripted": "pipeline_worker.engines.scripted",
        "openai": "pipeline_worker.engines.openai_lm",
        "livekit": "pipeline_worker.engines.livekit_lm",
    },
    "text_to_speech": {
        "espeak-ng": "pipeline_worker.engines.espeak_tts",
        "openai": "pipeline_worker.engines.openai_tts",
        "deepgram": "pipeline_worker.engines.deepgram_tts",
        "elevenlabs": "pipeline_worker.engines.elevenlabs_tts",
        "cartesia": "pipeline_worker.engines.cartesia_tts",
        "piper": "pipeline_worker.engines.piper_tts",
        "livekit": "pipeline_worker.engines.livekit_tts",
    },
}

_Engine = TypeVar("_Engine", covariant=True)


class Engines(NamedTuple):
    """What one session talks to. Only `lm` is the session's own, to be closed by it; the others outlive it."""

    vad: VoiceActivityDetector
    stt: SpeechToText
    lm: LanguageModel
    tts: TextToSpeech


class Provider(Protocol[_Engine]):
    """All that the process shares of one kind of engine: models, helper processes, connections."""

    def add(self, agent: AgentDefinition) -> None:
        """Reads the agent's options. Raises `ConfigError` naming agent, field and cure."""
        ...

    async def start(self) -> None:
        """Loads what the added agents need and tries it."""
        ...

    def open(self, agent_id: str) -> _Engine: ...

    async def close(self) -> None: ...


class SharedDetector(VoiceActivityDetector, Protocol):
    async def close(self) -> None: ...


class Catalog:
    """The engines that the conversation-mode agents need, each loaded once per process."""

    def __init__(self, agents: Mapping[str, AgentDefinition]) -> None:
        self._agents = {id_: agent for id_, agent in agents.items() if agent.mode == "conversation"}
        self._providers: dict[tuple[str, str], Provider[Any]] = {}
        self._vad: SharedDetector | None = None

    async def start(self) -> None:
        """Loads and tries every engine. Raises `ConfigError` naming agent, field and cure, or `EngineError`."""
        try:
            for agent in self._agents.values():
                for section in _MODULES:
                    self._provider(agent, section).add(agent)
            if self._agents:
                self._vad = await _started_vad()
            for provider in self._providers.values():
                await provider.start()
        except BaseException:
            await self.close()
            raise

    def open(self, agent_id: str) -> Engines:
        """The engines for one session: cheap, nothing is loaded. KeyError for an agent that needs none."""
        agent = self._agents[agent_id]
        if self._vad is None:
            raise EngineError("the engines are not started")
        return Engines(
            self._vad,
            self._provider(agent, "speech_to_text").open(agent_id),
            self._provider(agent, "language_model").open(agent_id),
            self._provider(agent, "text_to_speech").open(agent_id),
        )

    async def close(self) -> None:
        """Ends helpers and threads. Idempotent; streams still open fail with `EngineError`."""
        providers, self._providers = self._providers, {}
        vad, self._vad = self._vad, None
        for provider in providers.values():
            await provider.close()
        if vad is not None:
            await vad.close()

    def _provider(self, agent: AgentDefinition, section: str) -> Provider[Any]:
        choice: EngineChoice = getattr(agent, section)
        key = section, choice.engine
        if key not in self._providers:
            module = _MODULES[section].get(choice.engine)
            if module is None:
                raise ConfigError(
                    f"agent '{agent.id}': {section}.engine: no engine '{choice.engine}': choose one of "
                    f"{', '.join(sorted(_MODULES[section]))}"
                )
            try:
                provider: Provider[Any] = import_module(module).Provider()
            except ImportError as error:
                raise ConfigError(
                    f"agent '{agent.id}': {section}.engine: '{choice.engine}' cannot be loaded: {error}: install what "
                    "is missing, or choose another engine"
                ) from error
            self._providers[key] = provider
        return self._providers[key]


async def _started_vad() -> SharedDetector:
    silero = await asyncio.to_thread(import_module, "pipeline_worker.engines.silero")
    vad: SharedDetector = await asyncio.to_thread(silero.SileroVoiceActivityDetector)
    stream = vad.open()
    await stream.push(np.ones(vad.chunk_samples, dtype=np.int16))
    stream.close()
    return vad
