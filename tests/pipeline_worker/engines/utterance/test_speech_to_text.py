"""The worker's side, with a stand-in for faster-whisper in real helper processes (tests/fakes/packages)."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline_worker.engines.faster_whisper.speech_to_text import FasterWhisperSpeechToTextProvider
from pipeline_worker.engines.protocols import Transcript
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from tests.fakes.stand_in_packages import stand_in_packages

SECOND = np.full(16_000, 16_384, dtype=np.int16)


@pytest.fixture(autouse=True)
def packages() -> Iterator[None]:
    with stand_in_packages():
        yield


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.bin").write_bytes(b"a model")
    return tmp_path


def agent(model: Path, id_: str = "desk", **options: object) -> AgentDefinition:
    stt = {"engine": "faster-whisper", "options": {"model": str(model), "interim_ms": 500, **options}}
    return AgentDefinition.model_validate({"id": id_, "name": "Desk", "speech_to_text": stt})


@pytest.fixture
async def provider(model: Path) -> AsyncIterator[FasterWhisperSpeechToTextProvider]:
    provider = FasterWhisperSpeechToTextProvider()
    provider.add(agent(model))
    await provider.start()
    yield provider
    await provider.close()


async def test_interim_texts_come_with_later_pushes(provider: FasterWhisperSpeechToTextProvider) -> None:
    stream = provider.open("desk").open()
    assert await stream.push(SECOND) is None
    interim = None
    async with asyncio.timeout(20):
        while interim is None:
            await asyncio.sleep(0.01)
            interim = await stream.push(SECOND[:0])
    assert interim == Transcript("1.0 seconds of en at 0.5", False)
    assert await stream.push(SECOND[:0]) is None
    await stream.cancel()
    await stream.cancel()


async def test_sessions_share_a_process_and_do_not_mix(provider: FasterWhisperSpeechToTextProvider) -> None:
    async def say(seconds: int) -> str:
        stream = provider.open("desk").open()
        for _ in range(seconds):
            await stream.push(SECOND)
        return (await stream.finish()).text

    texts = await asyncio.gather(*(say(seconds) for seconds in range(1, 9)))
    assert [text.partition(" ")[0] for text in texts] == [f"{seconds}.0" for seconds in range(1, 9)]
    assert len(provider.helper_pids) == 1


async def test_agents_with_the_same_model_share_it_and_others_do_not(model: Path) -> None:
    provider = FasterWhisperSpeechToTextProvider()
    provider.add(agent(model, "one"))
    provider.add(agent(model, "two", language="en"))
    provider.add(agent(model, "three", language="de", processes=2))
    try:
        await provider.start()
        assert len(provider.helper_pids) == 3
        stream = provider.open("three").open()
        await stream.push(SECOND)
        assert (await stream.finish()).text == "1.0 seconds of de at 0.5"
    finally:
        await provider.close()


async def test_an_utterance_that_the_model_cannot_take_fails_alone(provider: FasterWhisperSpeechToTextProvider) -> None:
    stream = provider.open("desk").open()
    await stream.push(np.full(1_600, 32_767, dtype=np.int16))
    with pytest.raises(EngineError, match="too loud"):
        await stream.finish()
    stream = provider.open("desk").open()
    await stream.push(SECOND)
    assert (await stream.finish()).text


async def test_a_killed_helper_is_restarted_with_its_model(
    provider: FasterWhisperSpeechToTextProvider,
) -> None:
    stream = provider.open("desk").open()
    await stream.push(SECOND)
    [pid] = provider.helper_pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineError):
        await stream.finish()
    stream = provider.open("desk").open()
    await stream.push(SECOND)
    assert (await stream.finish()).text == "1.0 seconds of en at 0.5"


async def test_a_model_that_cannot_be_loaded_is_an_error_at_start(model: Path) -> None:
    (model / "model.bin").write_bytes(b"something else")
    provider = FasterWhisperSpeechToTextProvider()
    provider.add(agent(model))
    try:
        with pytest.raises(
            ConfigError, match=r"agent 'desk': speech_to_text\.options\.model: it cannot be loaded: .*unsupported model"
        ):
            await provider.start()
    finally:
        await provider.close()


def test_options_are_checked(model: Path) -> None:
    with pytest.raises(ConfigError, match=r"speech_to_text\.options\.interim_ms"):
        FasterWhisperSpeechToTextProvider().add(agent(model, interim_ms=-1))
