"""Piper's own package, with a voice that hums."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline_worker.engines.piper_tts import Provider
from shared.errors import ConfigError
from tests.extras.agents import agent_with
from tests.extras.tone_voice import write_tone_voice


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    write_tone_voice(tmp_path / "tone.onnx")
    provider = Provider()
    provider.add(agent_with("text_to_speech", "piper", model=str(tmp_path / "tone.onnx")))
    await provider.start()
    yield provider
    await provider.close()


async def test_it_speaks_with_the_times_of_its_words(provider: Provider) -> None:
    tts = provider.open("desk")
    text = "Hello, this is a table for four. See you soon!"
    pieces = [piece async for piece in tts.speak(text)]
    words = [word for piece in pieces for word in piece.words]
    assert [word.text for word in words] == text.split()
    ends = [word.end_sample for word in words]
    assert ends == sorted(set(ends))
    assert ends[-1] <= sum(len(piece.samples) for piece in pieces)
    assert max(np.abs(pieces[0].samples.astype(int))) > 20_000


async def test_words_that_the_voice_counts_otherwise_have_no_times(provider: Provider) -> None:
    pieces = [piece async for piece in provider.open("desk").speak("At 7:30.")]
    assert sum(len(piece.samples) for piece in pieces) > 20_000
    assert not any(piece.words for piece in pieces)


async def test_a_longer_scale_speaks_more_slowly(tmp_path: Path) -> None:
    write_tone_voice(tmp_path / "tone.onnx")
    lengths = []
    for scale in (1.0, 2.0):
        provider = Provider()
        provider.add(agent_with("text_to_speech", "piper", model=str(tmp_path / "tone.onnx"), length_scale=scale))
        try:
            await provider.start()
            lengths.append(sum([len(piece.samples) async for piece in provider.open("desk").speak("Good evening")]))
        finally:
            await provider.close()
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=0.01)


async def test_a_file_that_is_no_voice_is_told_at_the_start(tmp_path: Path) -> None:
    write_tone_voice(tmp_path / "tone.onnx")
    (tmp_path / "tone.onnx").write_bytes(b"not a model")
    provider = Provider()
    provider.add(agent_with("text_to_speech", "piper", model=str(tmp_path / "tone.onnx")))
    try:
        with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.model: .*fetch the voice"):
            await provider.start()
    finally:
        await provider.close()


async def test_what_the_helper_takes(provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    pieces = [piece async for piece in provider.open("desk").speak("This is a sentence of some length, you see.")]
    took = time.perf_counter() - began
    seconds = sum(len(piece.samples) for piece in pieces) / 24_000
    memory = psutil.Process(provider.helper_pids[0]).memory_info().rss / 1e6
    with capsys.disabled():
        print(f"\nPiper, humming: helper {memory:.0f} MB; {seconds:.1f} s of speech in {took * 1000:.0f} ms")
    assert memory < 500
