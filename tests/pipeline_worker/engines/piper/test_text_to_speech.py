"""The worker's side, with the shipped voice in a real helper process."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio

from pipeline_worker.engines.piper.text_to_speech import PiperTextToSpeech, PiperTextToSpeechProvider
from pipeline_worker.engines.protocols import SpeechPiece, Word
from shared.agent import AgentDefinition
from shared.audio import Pcm
from shared.errors import ConfigError, EngineError
from tests.fakes.small_vits import SPEAKERS
from tests.pipeline_worker.engines.piper.piper_voices import MODEL, small_voice

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "Hello, this is us - we open at 7:30!  Out of the eight tables, one is free."
LONG = (
    "We would be delighted to welcome you and your family on Friday evening, and if the weather is as nice as it was "
    "last week, you can of course sit outside on the terrace, which has a wonderful view of the harbour."
)


def agent(id_: str = "desk", language: str = "en", **options: object) -> AgentDefinition:
    tts = {"engine": "piper", "options": options}
    return AgentDefinition.model_validate({"id": id_, "name": "Desk", "language": language, "text_to_speech": tts})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[PiperTextToSpeechProvider]:
    provider = PiperTextToSpeechProvider()
    provider.add(agent())
    provider.add(agent("slow", length_scale=1.6, sentence_pause_ms=1000))
    await provider.start()
    yield provider
    await provider.close()


async def spoken(tts: PiperTextToSpeech, text: str) -> tuple[Pcm, list[Word], list[SpeechPiece]]:
    pieces = [piece async for piece in tts.speak(text)]
    samples = np.concatenate([piece.samples for piece in pieces]) if pieces else np.zeros(0, np.int16)
    return samples, [word for piece in pieces for word in piece.words], pieces


async def test_every_word_of_the_text_has_its_end(provider: PiperTextToSpeechProvider) -> None:
    samples, words, pieces = await spoken(provider.open("desk"), TEXT)
    assert [word.text for word in words] == TEXT.split()
    ends = [word.end_sample for word in words]
    assert ends == sorted(ends)
    assert ends[0] > 0
    assert ends[-1] <= len(samples)
    assert 4 * 24_000 < len(samples) < 9 * 24_000
    assert len(pieces) > 4


async def test_a_word_comes_with_the_piece_that_it_begins_in(provider: PiperTextToSpeechProvider) -> None:
    _, _, pieces = await spoken(provider.open("desk"), "One two three four five six seven eight nine ten eleven")
    assert len(pieces) > 2
    given, begin = 0, 0
    for piece in pieces:
        given += len(piece.samples)
        for word in piece.words:
            assert begin < given, "it begins later"
            begin = word.end_sample
        assert begin >= given or piece is pieces[-1], "the next one begins in this piece"


async def test_sentences_end_with_a_pause_and_clauses_do_not(provider: PiperTextToSpeechProvider) -> None:
    samples, words, _ = await spoken(provider.open("slow"), "Yes. No.")
    assert not samples[-24_000:].any()
    between = samples[words[0].end_sample : words[1].end_sample]
    silence = np.flatnonzero(between == 0)
    assert len(silence) >= 24_000
    clause, _, _ = await spoken(provider.open("slow"), "Yes,")
    assert clause[-24_000:].any()


async def test_a_long_sentence_is_made_clause_by_clause(provider: PiperTextToSpeechProvider) -> None:
    tts = provider.open("desk")
    async with aclosing(tts.speak(LONG)) as pieces:
        first = await anext(pieces)
    assert 0.3 * 24_000 < len(first.samples) < 0.55 * 24_000
    _, words, _ = await spoken(tts, LONG)
    assert [word.text for word in words] == LONG.split()


async def test_nothing_is_lost_in_the_change_of_rate(provider: PiperTextToSpeechProvider) -> None:
    """The last sound has the level of the others, and the first one is not late."""
    samples, words, _ = await spoken(provider.open("desk"), "Saturday.")
    level = np.abs(samples.astype(int))
    assert np.flatnonzero(level > 66)[0] < 35 * 24
    assert level[words[0].end_sample - 3_600 : words[0].end_sample].max() > 1_000
    assert 8_000 < level.max() < 32_767


async def test_leaving_stops_the_synthesis(provider: PiperTextToSpeechProvider) -> None:
    tts = provider.open("desk")
    [pid] = provider.helper_pids

    def worked() -> float:
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system

    begin = worked()
    await spoken(tts, LONG)
    whole = worked() - begin
    begin = worked()
    async with aclosing(tts.speak(LONG)) as pieces:
        await anext(pieces)
    await spoken(tts, "Yes.")
    assert worked() - begin < 0.7 * whole


async def test_a_helper_that_dies_in_the_middle_of_a_sentence_is_an_error(provider: PiperTextToSpeechProvider) -> None:
    async with aclosing(provider.open("desk").speak(LONG)) as pieces:
        await anext(pieces)
        [pid] = provider.helper_pids
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineError):
            async for _ in pieces:
                pass


async def test_a_signal_to_the_whole_group_does_not_end_the_helper(provider: PiperTextToSpeechProvider) -> None:
    await spoken(provider.open("desk"), "Hello.")
    [pid] = provider.helper_pids
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    await spoken(provider.open("desk"), "Hello.")
    assert provider.helper_pids == [pid]


async def test_several_voices_and_processes(tmp_path: Path) -> None:
    provider = PiperTextToSpeechProvider()
    provider.add(agent("joe"))
    for speaker in range(SPEAKERS):
        provider.add(agent(f"small-{speaker}", model=str(small_voice(tmp_path)), speaker=speaker, processes=2))
    try:
        await provider.start()
        assert len(provider.helper_pids) == 2
        said = await asyncio.gather(*(spoken(provider.open(f"small-{number}"), "Hello") for number in range(SPEAKERS)))
        assert [words[0].text for _, words, _ in said] == ["Hello"] * SPEAKERS
        assert not np.array_equal(said[0][0], said[1][0])
    finally:
        await provider.close()
    with pytest.raises(EngineError):
        await spoken(provider.open("joe"), "Hello.")


async def test_a_voice_that_cannot_be_loaded_is_an_error_at_start(tmp_path: Path) -> None:
    path = tmp_path / "amy.onnx"
    path.write_bytes(b"not a model")
    shutil.copy(f"{MODEL}.json", f"{path}.json")
    provider = PiperTextToSpeechProvider()
    provider.add(agent(model=str(path)))
    try:
        with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.model: .*fetch the voice"):
            await provider.start()
    finally:
        await provider.close()
