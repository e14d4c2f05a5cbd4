"""Speech to text by recognizers of whole utterances, in helper processes with a copy of the model each."""

import asyncio
from typing import Any, Generic, TypeVar

from pydantic import Field

from pipeline_worker.engines.helper.process import Channel, HelperProcess
from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import Transcript
from shared.agent import AgentDefinition
from shared.audio import Pcm
from shared.errors import ConfigError, EngineError

SECTION = "speech_to_text"
_ANSWER_TIMEOUT_S = 30.0
_LOAD_TIMEOUT_S = 900.0
"""The first load may download the model."""


class UtteranceOptions(Options):
    """Agents with the same options share a model."""

    language: str | None = Field(None, pattern=r"^[a-z]{2,3}$|^auto$", description="instead of the agent's")
    interim_ms: int = Field(1000, ge=0, le=10_000, description="least new speech between interim texts; 0: none")
    processes: int = Field(1, ge=1, le=16, description="helper processes, each with a copy of the model")

    def model_settings(self, language: str) -> dict[str, Any]:
        """Settings for the helper's `load`."""
        raise NotImplementedError


_Options = TypeVar("_Options", bound=UtteranceOptions)


class UtteranceStream:
    def __init__(self, helper: HelperProcess) -> None:
        self._helper = helper
        self._channel: Channel | None = None
        self._text = ""
        self._over = False

    async def push(self, samples: Pcm) -> Transcript | None:
        channel = self._channel or await self._open()
        if len(samples):
            await channel.send({"op": "push"}, samples.astype("<i2", copy=False).tobytes())
        return self._newest(channel)

    async def finish(self) -> Transcript:
        try:
            channel = self._channel or await self._open()
            await channel.send({"op": "finish"})
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                while not (frame := await channel.receive(_ANSWER_TIMEOUT_S)).header.get("last"):
                    pass
        except TimeoutError as error:
            raise EngineError("the recognizer is overloaded", code="engine_timeout") from error
        finally:
            await self.cancel()
        return Transcript(frame.header["text"], final=True)

    async def cancel(self) -> None:
        self._over = True
        if self._channel is not None:
            self._channel.close({"op": "cancel"})
            self._channel = None

    async def _open(self) -> Channel:
        if self._over:
            raise EngineError("the utterance is over")
        self._channel = await self._helper.open()
        await self._channel.send({"op": "open"})
        return self._channel

    def _newest(self, channel: Channel) -> Transcript | None:
        before = self._text
        while frame := channel.receive_nowait():
            self._text = frame.header["text"]
        return Transcript(self._text, final=False) if self._text not in ("", before) else None


class UtteranceSpeechToText:
    """One model. The helpers belong to the provider."""

    def __init__(self, helpers: list[HelperProcess]) -> None:
        self._helpers = helpers

    def open(self) -> UtteranceStream:
        return UtteranceStream(min(self._helpers, key=lambda helper: helper.open_channels))

    async def close(self) -> None:
        """Closed with its provider."""


class UtteranceProvider(Generic[_Options]):
    """Owns the helper processes of each model. `cure`: what to do about a model that cannot be loaded."""

    def __init__(self, engine: str, helper_module: str, options: type[_Options], *, cure: str) -> None:
        self._engine = engine
        self._helper_module = helper_module
        self._options = options
        self._cure = cure
        self._models: dict[str, tuple[_Options, str]] = {}
        """By agent: options and language."""
        self._helpers: dict[tuple[_Options, str], list[HelperProcess]] = {}

    @property
    def helper_pids(self) -> list[int]:
        return [helper.pid for helpers in self._helpers.values() for helper in helpers if helper.pid is not None]

    def add(self, agent: AgentDefinition) -> None:
        options = read_options(agent, SECTION, self._options)
        self.check(agent, options)
        language = options.language or agent.language.partition("-")[0].lower()
        model = options.model_copy(update={"language": None}), language
        self._models[agent.id] = model
        if model not in self._helpers:
            self._helpers[model] = [self._helper(*model) for _ in range(options.processes)]

    def check(self, agent: AgentDefinition, options: _Options) -> None:
        """Raises `ConfigError` for options that cannot work here."""

    async def start(self) -> None:
        """Loads each model."""
        for agent_id, model in self._models.items():
            try:
                for helper in self._helpers[model]:
                    (await helper.open()).close()
            except EngineError as error:
                if error.code != "bad_model":
                    raise
                raise ConfigError(
                    f"agent '{agent_id}': {SECTION}.options.model: it cannot be loaded: {error.message}: {self._cure}"
                ) from error

    def open(self, agent_id: str) -> UtteranceSpeechToText:
        return UtteranceSpeechToText(self._helpers[self._models[agent_id]])

    async def close(self) -> None:
        for helpers in self._helpers.values():
            for helper in helpers:
                await helper.close()

    def _helper(self, options: _Options, language: str) -> HelperProcess:
        async def load(helper: HelperProcess) -> None:
            channel = helper.open_now()
            try:
                settings = {"interim_s": options.interim_ms / 1000, **options.model_settings(language)}
                await channel.send({"op": "load", **settings})
                await channel.receive(_LOAD_TIMEOUT_S)
            finally:
                channel.close()

        return HelperProcess(self._helper_module, name=self._engine, prepare=load)
