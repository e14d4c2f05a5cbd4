"""All engines by kind, each with the fake server or stand-in package that a test needs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from pipeline_worker.engines.cartesia.text_to_speech import CartesiaTextToSpeechProvider
from pipeline_worker.engines.deepgram.speech_to_text import DeepgramSpeechToTextProvider
from pipeline_worker.engines.deepgram.text_to_speech import DeepgramTextToSpeechProvider
from pipeline_worker.engines.elevenlabs.text_to_speech import ElevenLabsTextToSpeechProvider
from pipeline_worker.engines.espeak_ng.text_to_speech import EspeakTextToSpeechProvider
from pipeline_worker.engines.faster_whisper.speech_to_text import FasterWhisperSpeechToTextProvider
from pipeline_worker.engines.livekit.language_model import LiveKitLanguageModelProvider
from pipeline_worker.engines.livekit.speech_to_text import LiveKitSpeechToTextProvider
from pipeline_worker.engines.livekit.text_to_speech import LiveKitTextToSpeechProvider
from pipeline_worker.engines.moonshine.speech_to_text import MoonshineSpeechToTextProvider
from pipeline_worker.engines.openai.language_model import OpenAiLanguageModelProvider
from pipeline_worker.engines.openai.speech_to_text import OpenAiSpeechToTextProvider
from pipeline_worker.engines.openai.text_to_speech import OpenAiTextToSpeechProvider
from pipeline_worker.engines.piper.text_to_speech import PiperTextToSpeechProvider
from pipeline_worker.engines.protocols import Provider
from pipeline_worker.engines.scripted.language_model import ScriptedLanguageModelProvider
from shared.agent import AgentDefinition
from tests.fakes import cartesia_server, elevenlabs_server
from tests.fakes.cartesia_server import running_cartesia_server
from tests.fakes.deepgram_server import running_listen_server, running_speak_server
from tests.fakes.elevenlabs_server import running_elevenlabs_server
from tests.fakes.openai_server import running_openai_server
from tests.fakes.scripts import SCRIPT
from tests.fakes.stand_in_packages import stand_in_packages
from tests.fakes.vendor_server import KEY
from tests.pipeline_worker.engines.agents import agent_with

Options = dict[str, Any]
Setting = Callable[[], AbstractAsyncContextManager[Options]]


@asynccontextmanager
async def nothing() -> AsyncIterator[Options]:
    yield {}


@asynccontextmanager
async def _openai() -> AsyncIterator[Options]:
    async with running_openai_server(key=KEY) as server:
        yield {"base_url": server.base_url, "api_key_env": "OPENAI_API_KEY"}


@asynccontextmanager
async def _deepgram_listen() -> AsyncIterator[Options]:
    async with running_listen_server(*["hello there"] * 100) as server:
        yield {"base_url": server.base_url}


@asynccontextmanager
async def _deepgram_speak() -> AsyncIterator[Options]:
    async with running_speak_server() as server:
        yield {"base_url": server.base_url}


@asynccontextmanager
async def _elevenlabs() -> AsyncIterator[Options]:
    async with running_elevenlabs_server() as server:
        yield {"base_url": server.base_url}


@asynccontextmanager
async def _cartesia() -> AsyncIterator[Options]:
    async with running_cartesia_server() as server:
        yield {"base_url": server.base_url}


@asynccontextmanager
async def _livekit() -> AsyncIterator[Options]:
    with stand_in_packages():
        yield {"plugin": "standin", "arguments_env": {"key": "STANDIN_API_KEY"}}


@asynccontextmanager
async def _whole_livekit() -> AsyncIterator[Options]:
    async with _livekit() as options:
        yield {**options, "arguments": {"streaming": False}}


@asynccontextmanager
async def _whisper() -> AsyncIterator[Options]:
    with stand_in_packages(), TemporaryDirectory() as folder:
        (Path(folder) / "model.bin").write_bytes(b"a model")
        yield {"model": folder}


class Engine(NamedTuple):
    engine: str
    provider: Callable[[], Provider[Any]]
    setting: Setting = nothing
    """Gives the options that depend on what runs."""
    options: Options = {}
    key: str = ""
    """The environment variable of its key, if a vendor asks for one."""

    @asynccontextmanager
    async def agent(self, section: str) -> AsyncIterator[AgentDefinition]:
        """An agent that uses it, while its servers and keys are there."""
        with pytest.MonkeyPatch.context() as patch:
            for variable in filter(None, (self.key, "STANDIN_API_KEY")):
                patch.setenv(variable, KEY)
            async with self.setting() as options:
                yield agent_with(section, self.engine, {**self.options, **options})


SPEECH_TO_TEXT = {
    "deepgram": Engine("deepgram", DeepgramSpeechToTextProvider, _deepgram_listen, key="DEEPGRAM_API_KEY"),
    "faster-whisper": Engine("faster-whisper", FasterWhisperSpeechToTextProvider, _whisper),
    "livekit": Engine("livekit", LiveKitSpeechToTextProvider, _livekit),
    "livekit, whole utterances": Engine("livekit", LiveKitSpeechToTextProvider, _whole_livekit),
    "moonshine": Engine("moonshine", MoonshineSpeechToTextProvider),
    "openai": Engine("openai", OpenAiSpeechToTextProvider, _openai, {"model": "m"}, "OPENAI_API_KEY"),
}
LANGUAGE_MODEL = {
    "livekit": Engine("livekit", LiveKitLanguageModelProvider, _livekit),
    "openai": Engine("openai", OpenAiLanguageModelProvider, _openai, {"model": "m"}, "OPENAI_API_KEY"),
    "scripted": Engine("scripted", ScriptedLanguageModelProvider, nothing, SCRIPT),
}
TEXT_TO_SPEECH = {
    "cartesia": Engine(
        *("cartesia", CartesiaTextToSpeechProvider, _cartesia, {"voice": cartesia_server.VOICE}, "CARTESIA_API_KEY")
    ),
    "deepgram": Engine("deepgram", DeepgramTextToSpeechProvider, _deepgram_speak, key="DEEPGRAM_API_KEY"),
    "elevenlabs": Engine(
        *("elevenlabs", ElevenLabsTextToSpeechProvider, _elevenlabs, {"voice": elevenlabs_server.VOICE}),
        key="ELEVENLABS_API_KEY",
    ),
    "espeak-ng": Engine("espeak-ng", EspeakTextToSpeechProvider),
    "livekit": Engine("livekit", LiveKitTextToSpeechProvider, _livekit),
    "openai": Engine(
        *("openai", OpenAiTextToSpeechProvider, _openai, {"model": "m", "voice": "nova"}, "OPENAI_API_KEY")
    ),
    "piper": Engine("piper", PiperTextToSpeechProvider),
}
SECTIONS = {"speech_to_text": SPEECH_TO_TEXT, "language_model": LANGUAGE_MODEL, "text_to_speech": TEXT_TO_SPEECH}
ALL = [
    pytest.param(section, engine, id=f"{section} {name}")
    for section, engines in SECTIONS.items()
    for name, engine in engines.items()
]
WITH_KEY = [param for param in ALL if isinstance(param.values[1], Engine) and param.values[1].key]
