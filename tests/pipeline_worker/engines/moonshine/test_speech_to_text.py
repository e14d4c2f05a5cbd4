"""The worker's side, with the model that is installed in a real helper process."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import pytest_asyncio

from pipeline_worker.engines.moonshine.files import ENCODER, FILES, PACKAGED, folder_of
from pipeline_worker.engines.moonshine.speech_to_text import MoonshineSpeechToTextProvider
from pipeline_worker.engines.protocols import Transcript
from pipeline_worker.text.words import words_of
from shared.agent import AgentDefinition
from shared.audio import Pcm
from shared.errors import ConfigError
from tests.pipeline_worker.engines.spoken import caller


def agent(id_: str = "desk", of: str = "en-GB", **options: object) -> AgentDefinition:
    """`of`: its language."""
    stt = {"engine": "moonshine", "options": options}
    return AgentDefinition.model_validate({"id": id_, "name": "Desk", "language": of, "speech_to_text": stt})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[MoonshineSpeechToTextProvider]:
    provider = MoonshineSpeechToTextProvider()
    provider.add(agent())
    provider.add(agent("other", of="de", model=str(folder_of(PACKAGED))))
    await provider.start()
    yield provider
    await provider.close()


async def heard(provider: MoonshineSpeechToTextProvider, samples: Pcm, id_: str = "desk") -> Transcript:
    stream = provider.open(id_).open()
    for first in range(0, len(samples), 1_600):
        await stream.push(samples[first : first + 1_600])
    return await stream.finish()


@pytest.mark.asyncio(loop_scope="module")
async def test_callers_who_speak_at_once_are_each_understood(provider: MoonshineSpeechToTextProvider) -> None:
    async with caller() as one:
        sentences = ["Do you accept credit cards?", "Where is the restaurant?", "I need to cancel my booking."]
        texts = await asyncio.gather(*[heard(provider, await one.says(sentence)) for sentence in sentences])
    assert texts == [Transcript(sentence, True) for sentence in sentences]


@pytest.mark.asyncio(loop_scope="module")
async def test_interim_texts_come_while_the_caller_speaks(provider: MoonshineSpeechToTextProvider) -> None:
    async with caller() as one:
        samples = await one.says("I need to cancel my booking for Friday evening.")
    stream = provider.open("desk").open()
    interim = await stream.push(samples[:20_000])
    async with asyncio.timeout(20):
        while interim is None:
            await asyncio.sleep(0.01)
            interim = await stream.push(samples[:0])
    assert words_of(interim.text)[:3] == ["i", "need", "to"]
    assert not interim.final
    await stream.cancel()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_long_utterance_is_understood_to_its_end(provider: MoonshineSpeechToTextProvider) -> None:
    async with caller() as one:
        sentence = await one.says("The meeting was moved from Monday to Wednesday.")
        samples = np.tile(sentence, 60 * 16_000 // len(sentence))
    words = words_of((await heard(provider, samples)).text)
    assert words.count("meeting") == len(samples) // len(sentence)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_folder_with_a_model_serves_an_agent_of_any_language(provider: MoonshineSpeechToTextProvider) -> None:
    async with caller() as one:
        assert (
            await heard(provider, await one.says("Where is the restaurant?"), "other")
        ).text == "Where is the restaurant?"


@pytest.mark.parametrize(("of", "options"), [("de", {}), ("en", {"language": "de"}), ("en", {"language": "auto"})])
def test_the_model_that_is_installed_understands_english(of: str, options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"agent 'desk': speech_to_text\.options\.model: 'tiny-en' .*: name a folder"):
        MoonshineSpeechToTextProvider().add(agent(of=of, **options))


@pytest.mark.parametrize("missing", FILES)
def test_a_folder_without_a_complete_model_is_an_error(tmp_path: Path, missing: str) -> None:
    for name in set(FILES) - {missing}:
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=rf"speech_to_text\.options\.model: no Moonshine model at .*{missing}"):
        MoonshineSpeechToTextProvider().add(agent(model=str(tmp_path)))


async def test_a_folder_that_is_not_a_model_is_an_error_at_start(tmp_path: Path) -> None:
    folder = folder_of(PACKAGED)
    assert folder is not None
    copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / ENCODER).write_bytes(b"not a model")
    provider = MoonshineSpeechToTextProvider()
    provider.add(agent(model=str(tmp_path)))
    try:
        with pytest.raises(
            ConfigError, match=r"speech_to_text\.options\.model: it cannot be loaded: .*: name a folder"
        ):
            await provider.start()
    finally:
        await provider.close()


def test_the_error_for_a_missing_package_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(ConfigError, match=r"'tiny-en' comes with is missing: pip install moonshine-voice==0\.1\.0"):
        MoonshineSpeechToTextProvider().add(agent())
