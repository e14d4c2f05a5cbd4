from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import numpy as np
import pytest

from pipeline_worker.engines.elevenlabs.text_to_speech import CharacterTimes, ElevenLabsTextToSpeechProvider
from pipeline_worker.engines.protocols import Word
from shared.errors import ConfigError, EngineError
from tests.fakes.elevenlabs_server import VOICE, ElevenLabsServer, running_elevenlabs_server
from tests.fakes.vendor_server import KEY, speech
from tests.pipeline_worker.engines.agents import agent_with, started
from tests.pipeline_worker.engines.vendor_spoken import TEXT, spoken


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)


def provided(base_url: str, **options: object) -> AbstractAsyncContextManager[ElevenLabsTextToSpeechProvider]:
    agent = agent_with("text_to_speech", "elevenlabs", {"base_url": base_url, "voice": VOICE, **options})
    return started(ElevenLabsTextToSpeechProvider(), agent)


@pytest.fixture
async def server() -> AsyncIterator[ElevenLabsServer]:
    async with running_elevenlabs_server() as server:
        yield server


@pytest.fixture
async def provider(server: ElevenLabsServer) -> AsyncIterator[ElevenLabsTextToSpeechProvider]:
    async with provided(server.base_url) as provider:
        yield provider


async def test_speech_comes_whole_with_the_time_of_each_word(
    server: ElevenLabsServer, provider: ElevenLabsTextToSpeechProvider
) -> None:
    for text in (TEXT, "One.", "Good evening!"):
        samples, words = await spoken(provider.open("desk"), text)
        assert np.array_equal(samples, speech(text)[0])
        assert words == speech(text)[1]
    assert server.connections == 1


async def test_words_come_no_later_than_the_speech_after_them(
    server: ElevenLabsServer, provider: ElevenLabsTextToSpeechProvider
) -> None:
    given = 0
    pieces = [piece async for piece in provider.open("desk").speak(TEXT)]
    assert len(pieces) > 3
    for number, piece in enumerate(pieces, 1):
        given += len(piece.samples)
        later = [word.end_sample for other in pieces[number:] for word in other.words]
        # Except the tail, and the last word of a line, whose white space comes with the next line.
        assert all(end > given - 2_400 for end in later)


async def test_options_reach_the_vendor(server: ElevenLabsServer) -> None:
    async with provided(server.base_url, stability=0.4, speed=1.1) as provider:
        await spoken(provider.open("desk"))
    async with provided(server.base_url, model="eleven_multilingual_v2") as provider:
        await spoken(provider.open("desk"))
    assert server.bodies == [
        {
            "text": TEXT,
            "model_id": "eleven_flash_v2_5",
            "language_code": "en",
            "voice_settings": {"stability": 0.4, "speed": 1.1},
        },
        {"text": TEXT, "model_id": "eleven_multilingual_v2"},
    ]


@pytest.mark.parametrize(
    "nonsense",
    [
        "[]",
        '{"audio_base64": 12}',
        '{"audio_base64": "no base64"}',
        '{"audio_base64": "AAAA"}',  # one sample and a half
        '{"alignment": {"characters": ["a"], "character_end_times_seconds": []}}',
    ],
)
async def test_nonsense_is_not_taken_for_speech(
    server: ElevenLabsServer, provider: ElevenLabsTextToSpeechProvider, nonsense: str
) -> None:
    server.fault, server.nonsense = "malformed", nonsense
    with pytest.raises(EngineError) as caught:
        await spoken(provider.open("desk"))
    assert caught.value.code == "engine_broken"


@pytest.mark.parametrize("line", ["", '{"audio_base64": null}', '{"audio_base64": "", "alignment": null, "new": 1}'])
async def test_irrelevant_messages_are_ignored(
    server: ElevenLabsServer, provider: ElevenLabsTextToSpeechProvider, line: str
) -> None:
    server.fault, server.nonsense = "malformed", line
    samples, words = await spoken(provider.open("desk"))
    assert np.array_equal(samples, speech(TEXT)[0])
    assert words == speech(TEXT)[1]


async def test_a_key_for_speech_only_is_enough(
    server: ElevenLabsServer, provider: ElevenLabsTextToSpeechProvider
) -> None:
    server.may_read_voices = False
    assert len((await spoken(provider.open("desk")))[0])


async def test_an_account_without_credit_is_not_taken_for_a_refused_key(
    server: ElevenLabsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "of-a-spent-account")
    server.refused_with = "quota_exceeded"
    async with provided(server.base_url) as provider:
        with pytest.raises(EngineError, match="quota_exceeded") as caught:
            await spoken(provider.open("desk"))
        assert caught.value.code == "engine_refused"


def test_the_error_for_a_missing_voice_names_the_option() -> None:
    with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech.options.voice: missing"):
        ElevenLabsTextToSpeechProvider().add(agent_with("text_to_speech", "elevenlabs", {}))


def test_a_word_ends_with_its_last_character_wherever_lines_are_cut() -> None:
    times = CharacterTimes()
    assert times.push(list("Go"), [0.1, 0.2]) == []
    assert times.push(list("od  "), [0.3, 0.4, 0.5, 0.6]) == [Word("Good", 9_600)]
    assert times.push(list("day"), [0.7, 0.8, 0.9]) == []
    assert times.finish() == [Word("day", 21_600)]
    assert times.finish() == []
    with pytest.raises(ValueError, match="zip"):
        times.push(["a"], [])
