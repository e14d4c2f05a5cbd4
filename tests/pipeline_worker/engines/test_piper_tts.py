"""The worker's side, with a stand-in for piper-tts in a real helper process (tests/fakes/packages)."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from pipeline_worker.engines.piper_tts import PiperTextToSpeech, Provider
from pipeline_worker.engines.protocols import SpeechPiece, Word
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from tests.fakes.stand_in_packages import stand_in_packages


@pytest.fixture(autouse=True)
def packages() -> Iterator[None]:
    with stand_in_packages():
        yield


def written(folder: Path, sample_rate: int = 24_000, content: bytes = b"a voice") -> Path:
    path = folder / "amy.onnx"
    path.write_bytes(content)
    Path(f"{path}.json").write_text(f'{{"audio": {{"sample_rate": {sample_rate}}}}}', encoding="utf-8")
    return path


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    return written(tmp_path)


def agent(model: Path, id_: str = "desk", **options: object) -> AgentDefinition:
    tts = {"engine": "piper", "options": {"model": str(model), "sentence_pause_ms": 100, **options}}
    return AgentDefinition.model_validate({"id": id_, "name": "Desk", "text_to_speech": tts})


@pytest.fixture
async def provider(voice: Path) -> AsyncIterator[Provider]:
    provider = Provider()
    provider.add(agent(voice))
    await provider.start()
    yield provider
    await provider.close()


async def spoken(tts: PiperTextToSpeech, text: str) -> list[SpeechPiece]:
    return [piece async for piece in tts.speak(text)]


async def test_sentences_follow_one_another_with_the_times_of_their_words(provider: Provider) -> None:
    pieces = await spoken(provider.open("desk"), "Hi you. - See us - then!")
    assert [len(piece.samples) for piece in pieces] == [900, 2_400, 1_800, 2_400]
    assert pieces[0].words == (Word("Hi", 400), Word("you.", 900))
    assert pieces[2].words == (Word("- See", 4_000), Word("us -", 4_500), Word("then!", 5_100))


async def test_numbers_that_are_several_words_leave_the_sentence_without_times(provider: Provider) -> None:
    [piece] = await spoken(provider.open("desk"), "At 22 then")
    assert len(piece.samples)
    assert piece.words == ()


async def test_a_voice_of_another_rate_is_brought_to_ours(tmp_path: Path) -> None:
    voice = written(tmp_path, sample_rate=12_000)
    provider = Provider()
    provider.add(agent(voice, length_scale=2.0, speaker=1))
    try:
        await provider.start()
        [piece] = await spoken(provider.open("desk"), "Hi you")
    finally:
        await provider.close()
    assert len(piece.samples) == 2 * 2 * 800
    assert piece.words == (Word("Hi", 1_600), Word("you", 3_200))
    assert np.median(piece.samples) == pytest.approx(2_000, abs=20)


async def test_agents_share_the_processes(voice: Path) -> None:
    provider = Provider()
    provider.add(agent(voice, "one"))
    provider.add(agent(voice, "two", length_scale=2.0, processes=2))
    try:
        await provider.start()
        assert len(provider.helper_pids) == 2
        texts = ["Hello", "Good day", "Bye"] * 4
        one = await asyncio.gather(*(spoken(provider.open("one"), text) for text in texts))
        two = await asyncio.gather(*(spoken(provider.open("two"), text) for text in texts))
    finally:
        await provider.close()
    for text, [first], [second] in zip(texts, one, two, strict=True):
        assert (len(first.samples), len(second.samples)) == (100 * (len(text) + 2), 200 * (len(text) + 2))


async def test_giving_up_in_the_middle_leaves_the_engine_usable(provider: Provider) -> None:
    tts = provider.open("desk")
    async with aclosing(tts.speak("This is a long story. " * 20)) as story:
        async for _ in story:
            break
    assert await spoken(tts, "Hello")


async def test_a_helper_that_was_killed_is_not_noticed_by_the_next_text(provider: Provider) -> None:
    [pid] = provider.helper_pids
    os.kill(pid, signal.SIGKILL)
    assert await spoken(provider.open("desk"), "Hello")
    assert provider.helper_pids != [pid]


async def test_a_text_that_cannot_be_spoken_is_an_error_of_that_text(provider: Provider) -> None:
    with pytest.raises(EngineError, match="an unheard-of sign"):
        await spoken(provider.open("desk"), "5 %")
    assert await spoken(provider.open("desk"), "Hello")


@pytest.mark.parametrize("text", ["", "  ", " - "])
async def test_nothing_to_say_is_silence_of_no_length(provider: Provider, text: str) -> None:
    assert await spoken(provider.open("desk"), text) == []


async def test_after_close_nothing_speaks(provider: Provider) -> None:
    await provider.close()
    await provider.close()
    with pytest.raises(EngineError):
        await spoken(provider.open("desk"), "Hello")


async def test_a_voice_that_cannot_be_loaded_is_told_at_the_start(tmp_path: Path) -> None:
    provider = Provider()
    provider.add(agent(written(tmp_path, content=b"something else")))
    try:
        with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.model: .*no model"):
            await provider.start()
    finally:
        await provider.close()


def test_files_that_are_missing_are_told(voice: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.model: no Piper voice"):
        Provider().add(agent(tmp_path / "joe.onnx"))
    Path(f"{voice}.json").unlink()
    with pytest.raises(ConfigError, match=r"text_to_speech\.options\.model: no description of the voice"):
        Provider().add(agent(voice))
