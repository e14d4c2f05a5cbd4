"""The engines that agent files name, shared by all sessions of the process."""

import asyncio
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from pipeline_worker.engines.fallback.language_model import FallbackLanguageModel
from pipeline_worker.engines.fallback.speech_to_text import FallbackSpeechToText
from pipeline_worker.engines.fallback.text_to_speech import FallbackTextToSpeech
from pipeline_worker.engines.guard import STALL_S, EngineGuard, Guarded
from pipeline_worker.engines.options import as_fallback, located_errors
from pipeline_worker.engines.protocols import (
    LanguageModel,
    Provider,
    SpeechToText,
    TextToSpeech,
    VoiceActivityDetector,
)
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import BYTES_PER_SAMPLE
from shared.errors import ConfigError, EngineError
from shared.io.logs import get_logger

_BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "speech_to_text": {
        "deepgram": "Deepgram",
        "faster-whisper": "FasterWhisper",
        "livekit": "LiveKit",
        "moonshine": "Moonshine",
        "openai": "OpenAi",
    },
    "language_model": {"livekit": "LiveKit", "openai": "OpenAi", "scripted": "Scripted"},
    "text_to_speech": {
        "cartesia": "Cartesia",
        "deepgram": "Deepgram",
        "elevenlabs": "ElevenLabs",
        "espeak-ng": "Espeak",
        "livekit": "LiveKit",
        "openai": "OpenAi",
        "piper": "Piper",
    },
}
"""Engines of this package by section: `x` is `engines.x.language_model:XLanguageModelProvider`."""

_FIRST_OUTPUT_S: Mapping[str, float] = {"speech_to_text": 5.0, "language_model": 5.0, "text_to_speech": 3.0}
"""Default deadlines for the first output; for speech to text, for the final transcript."""

_CLOSE_S = 10.0
"""Longer than it takes to kill a helper process."""
_CANCEL_S = 1.0

_TEMPORARY = frozenset({"engine_unavailable", "engine_timeout", "engine_busy"})

log = get_logger()


class Engines(NamedTuple):
    """The engines of one session. The session owns `lm` and closes it; it shares the others."""

    vad: VoiceActivityDetector
    stt: SpeechToText
    lm: LanguageModel
    tts: TextToSpeech


class SharedDetector(VoiceActivityDetector, Protocol):
    async def close(self) -> None: ...


class _Part(NamedTuple):
    """One engine of one agent. `agent` is what the engine's provider gets."""

    agent: AgentDefinition
    section: str
    guard: EngineGuard


class Catalog:
    """The engines of the conversation-mode agents, each loaded once per process.

    Opened engines include deadlines and fallbacks. `stall_s` is the longest pause between two outputs.
    """

    def __init__(self, agents: Mapping[str, AgentDefinition], stall_s: float = STALL_S) -> None:
        self._agents = {id_: agent for id_, agent in agents.items() if agent.mode == "conversation"}
        self._stall_s = stall_s
        self._providers: dict[tuple[str, str], Provider[Any]] = {}
        self._parts: dict[tuple[str, str], list[_Part]] = {}
        """By agent and section: the engine, then its fallback if there is one."""
        self._vad: SharedDetector | None = None

    async def start(self) -> None:
        """Loads and tests every engine. Raises `EngineError`, or `ConfigError` naming agent, field and cure."""
        try:
            for agent in self._agents.values():
                for section in _BUILT_IN:
                    parts = self._parts[agent.id, section] = list(self._parts_of(agent, section))
                    for part in parts:
                        with located_errors(self._agents, section):
                            self._provider(part.agent, section).add(part.agent)
            if self._agents:
                self._vad = await _started_vad()
            # Concurrently, except sections of the same engine, which may share a server that is tested once.
            starting = [self._start_all(engine) for engine in {engine for _, engine in self._providers}]
            for failure in await asyncio.gather(*starting, return_exceptions=True):
                if failure is not None:
                    raise failure
        except BaseException:
            await self.close()
            raise

    def open(self, agent_id: str) -> Engines:
        """The engines for one session. Cheap: loads nothing. Raises `KeyError` for an agent without engines."""
        self._agents[agent_id]
        if self._vad is None:
            raise EngineError("the engines are not started")
        return Engines(
            self._vad,
            FallbackSpeechToText(*self._open(agent_id, "speech_to_text")),
            FallbackLanguageModel(*self._open(agent_id, "language_model")),
            FallbackTextToSpeech(*self._open(agent_id, "text_to_speech")),
        )

    def helper_pids(self) -> list[int]:
        """The running helper processes."""
        return [pid for provider in self._providers.values() for pid in getattr(provider, "helper_pids", ())]

    async def close(self) -> None:
        """Ends helpers and threads concurrently, within `_CLOSE_S`. Idempotent; raises nothing.

        Streams that are still open fail with `EngineError`.
        """
        closes = {f"{section} {engine}": provider.close() for (section, engine), provider in self._providers.items()}
        if self._vad is not None:
            closes["voice activity detector"] = self._vad.close()
        self._providers, self._vad = {}, None
        await _close_all([asyncio.create_task(close, name=name) for name, close in closes.items()])

    async def _start_all(self, engine: str) -> None:
        for (section, name), provider in self._providers.items():
            if name == engine:
                with located_errors(self._agents, section):
                    await _try(section, engine, provider)

    def _parts_of(self, agent: AgentDefinition, section: str) -> Iterator[_Part]:
        choice: EngineChoice = getattr(agent, section)
        yield self._part(agent, section, choice)
        if (fallback := choice.fallback) is None:
            return
        if fallback.fallback is not None:
            raise ConfigError(
                f"{agent.place}: {section}.fallback.fallback: a fallback has no fallback of its own: remove it"
            )
        agent_with_fallback = agent.model_copy(update={"id": as_fallback(agent.id), section: fallback})
        yield self._part(agent_with_fallback, section, fallback)

    def _part(self, agent: AgentDefinition, section: str, choice: EngineChoice) -> _Part:
        first_output_s = choice.first_output_s or _FIRST_OUTPUT_S[section]
        return _Part(agent, section, EngineGuard(section, choice.engine, first_output_s, self._stall_s))

    def _open(self, agent_id: str, section: str) -> list[Guarded[Any]]:
        return [
            Guarded(self._provider(part.agent, section).open(part.agent.id), part.guard)
            for part in self._parts[agent_id, section]
        ]

    def _provider(self, agent: AgentDefinition, section: str) -> Provider[Any]:
        choice: EngineChoice = getattr(agent, section)
        key = section, choice.engine
        if key not in self._providers:
            where = f"agent '{agent.id}': {section}.engine"
            if (entry_point := _entry_point(section, choice.engine)) is None:
                raise ConfigError(
                    f"{where}: no engine '{choice.engine}': choose one of {', '.join(sorted(_BUILT_IN[section]))}, or "
                    "name your own provider class as package.module:Class"
                )
            try:
                self._providers[key] = _provider_class(*entry_point)()
            except Exception as error:
                raise ConfigError(
                    f"{where}: '{choice.engine}' cannot be loaded: {_reason(error)}, or choose another engine"
                ) from error
        return self._providers[key]


def _entry_point(section: str, engine: str) -> tuple[str, str] | None:
    """The module and the class of an engine's provider."""
    if (name := _BUILT_IN[section].get(engine)) is not None:
        kind = section.title().replace("_", "")
        return f"{__package__}.{engine.replace('-', '_')}.{section}", f"{name}{kind}Provider"
    module, _, class_name = engine.partition(":")
    names = [*module.split("."), class_name]
    return (module, class_name) if all(map(str.isidentifier, names)) else None


def _provider_class(module: str, name: str) -> Callable[[], Provider[Any]]:
    found: Callable[[], Provider[Any]] | None = getattr(import_module(module), name, None)
    if found is None:
        raise ConfigError(f"the module has no class '{name}': correct the name")
    return found


def _reason(error: Exception) -> str:
    """What is wrong with an engine's module, and how to fix it."""
    if isinstance(error, ConfigError):
        return error.message
    if isinstance(error, ImportError):
        return f"{error}: install what is missing"
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # its text includes the place
        return f"{what}: fix it"
    *_, place = traceback.extract_tb(error.__traceback__)
    return f"{what} ({place.filename}, line {place.lineno}): fix it"


async def _try(section: str, engine: str, provider: Provider[Any]) -> None:
    """A temporary failure does not stop the worker: the engine may recover before a call."""
    try:
        await provider.start()
    except EngineError as error:
        if error.code not in _TEMPORARY:
            raise
        log.warning("engine_away_at_start", kind=section, engine=engine, code=error.code, error=str(error))


async def _close_all(closing: Collection[asyncio.Task[None]]) -> None:
    """A provider that cannot be closed must not block the worker or hide the error that ends it."""
    if not closing:
        return
    ended, late = await asyncio.wait(closing, timeout=_CLOSE_S)
    failed = [(task, f"not within {_CLOSE_S:g} s") for task in late]
    for task in ended:
        if task.cancelled():
            failed.append((task, "cancelled"))
        elif (error := task.exception()) is not None:
            failed.append((task, f"{type(error).__name__}: {error}"))
    for task, reason in failed:
        log.warning("engine_not_closed", engine=task.get_name(), error=reason)
    if late:
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=_CANCEL_S)


async def _started_vad() -> SharedDetector:
    silero = await asyncio.to_thread(import_module, "pipeline_worker.engines.silero.detector")
    vad: SharedDetector = await asyncio.to_thread(silero.SileroVoiceActivityDetector)
    judged: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
    stream = vad.open(judged.set_result, judged.set_exception)
    if stream.push(bytes(vad.chunk_samples * BYTES_PER_SAMPLE)) is None:
        await judged
    stream.close()
    return vad
