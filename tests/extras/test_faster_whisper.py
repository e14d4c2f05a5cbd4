"""faster-whisper's own package, with a model in the shape of tiny.en that was never trained."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline_worker.engines.faster_whisper.speech_to_text import FasterWhisperSpeechToTextProvider
from pipeline_worker.engines.protocols import Transcript
from shared.audio import Pcm
from shared.errors import ConfigError
from tests.extras.agents import agent_with
from tests.extras.untrained_whisper import write_untrained_whisper

NOISE: Pcm = (np.random.default_rng(1).normal(0, 0.1, 5 * 16_000) * 32_767).clip(-32_768, 32_767).astype(np.int16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    write_untrained_whisper(folder)
    return folder


@pytest.fixture
async def provider(model: Path) -> AsyncIterator[FasterWhisperSpeechToTextProvider]:
    provider = FasterWhisperSpeechToTextProvider()
    provider.add(agent_with("speech_to_text", "faster-whisper", model=str(model), interim_ms=500))
    await provider.start()
    yield provider
    await provider.close()


async def heard(provider: FasterWhisperSpeechToTextProvider, samples: Pcm) -> Transcript:
    stream = provider.open("desk").open()
    for begin in range(0, len(samples), 1_600):
        await stream.push(samples[begin : begin + 1_600])
    return await stream.finish()


async def test_sessions_share_one_model(provider: FasterWhisperSpeechToTextProvider) -> None:
    results = await asyncio.gather(*(heard(provider, NOISE[: 16_000 * seconds]) for seconds in (1, 2, 3)))
    assert all(result.final and result.text.startswith("word") for result in results)
    assert len(provider.helper_pids) == 1


async def test_interim_texts_come_while_the_caller_speaks(provider: FasterWhisperSpeechToTextProvider) -> None:
    stream = provider.open("desk").open()
    interim = None
    async with asyncio.timeout(60):
        while interim is None:
            interim = await stream.push(NOISE[:1_600])
            await asyncio.sleep(0.05)  # the helper works at its own pace and reports with a later push
    assert not interim.final
    assert interim.text.startswith("word")
    await stream.cancel()


async def test_silence_has_no_text(provider: FasterWhisperSpeechToTextProvider) -> None:
    assert await heard(provider, NOISE[:0]) == Transcript("", True)


async def test_a_folder_that_is_not_a_model_is_an_error_at_start(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    provider = FasterWhisperSpeechToTextProvider()
    provider.add(agent_with("speech_to_text", "faster-whisper", model=str(tmp_path)))
    try:
        with pytest.raises(ConfigError, match=r"agent 'desk': speech_to_text\.options\.model: it cannot be loaded"):
            await provider.start()
    finally:
        await provider.close()


async def test_the_helpers_use_of_processor_and_memory(
    provider: FasterWhisperSpeechToTextProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    helper = psutil.Process(provider.helper_pids[0])
    before = helper.cpu_times()
    began = time.perf_counter()
    stream = provider.open("desk").open()
    await stream.push(NOISE)
    await stream.finish()
    took = time.perf_counter() - began
    after = helper.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    memory = helper.memory_info().rss / 1e6
    with capsys.disabled():
        print(
            f"\nWhisper in the shape of tiny.en, int8: helper {memory:.0f} MB; 5 s of sound: {cpu:.2f} s of processor,"
        )
        print(f"final text after {took * 1000:.0f} ms")
    assert memory < 1000
