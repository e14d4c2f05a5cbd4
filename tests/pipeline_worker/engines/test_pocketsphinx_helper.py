from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.helper_process import Channel, HelperProcess
from shared.audio import Pcm
from shared.errors import EngineError
from tests.pipeline_worker.engines.spoken import caller

TIMEOUT_S = 60
PHRASES = ["when are you open", "book a table for two"]
LOAD: dict[str, Any] = {
    "op": "load",
    "grammar": "small",
    "jsgf": f"#JSGF V1.0;\ngrammar agent;\npublic <utterance> = {' | '.join(PHRASES)};\n",
    "backchannels": [],
    "words": sorted({word for phrase in PHRASES for word in phrase.split()}),
    "aliases": {},
    "pronunciations": {},
}


async def load(helper: HelperProcess, **fields: Any) -> dict[str, Any]:
    channel = await helper.open()
    try:
        await channel.send({**LOAD, **fields})
        return (await channel.receive(TIMEOUT_S)).header
    finally:
        channel.close()


@pytest.fixture
async def helper() -> AsyncIterator[HelperProcess]:
    helper = HelperProcess("pipeline_worker.engines.pocketsphinx_helper", name="PocketSphinx")
    assert (await load(helper))["missing"] == []
    yield helper
    await helper.close()


async def begin(helper: HelperProcess) -> Channel:
    channel = await helper.open()
    await channel.send({"op": "open", "grammar": "small"})
    return channel


async def push(channel: Channel, samples: Pcm) -> None:
    for first in range(0, len(samples), 1600):
        await channel.send({"op": "push"}, samples[first : first + 1600].astype("<i2").tobytes())


async def finish(channel: Channel) -> list[str]:
    """All hypotheses; the last one is final."""
    await channel.send({"op": "finish"})
    texts = []
    while True:
        frame = await channel.receive(TIMEOUT_S)
        texts.append(frame.header["text"])
        if frame.header.get("last"):
            channel.close()
            return texts


async def test_utterances_that_overlap_are_recognised_each(helper: HelperProcess) -> None:
    async with caller() as speaker:
        heard = [await speaker.says(phrase) for phrase in PHRASES]
    channels = [await begin(helper) for _ in heard]
    for channel, samples in zip(channels, heard, strict=True):
        await push(channel, samples)
    texts = [await finish(channel) for channel in channels]
    assert [said[-1] for said in texts] == PHRASES
    assert all(interim and PHRASES[1].startswith(interim) for interim in texts[1][:-1])
    assert len(texts[1]) > 1


async def test_a_decoder_is_used_again_and_remembers_nothing(helper: HelperProcess) -> None:
    async with caller() as speaker:
        samples = await speaker.says(PHRASES[0])
    for _ in range(4):
        cancelled = await begin(helper)
        await push(cancelled, samples[:30_000])
        cancelled.close({"op": "cancel"})
        early = await begin(helper)
        early.close({"op": "cancel"})
        channel = await begin(helper)
        await push(channel, samples)
        assert (await finish(channel))[-1] == PHRASES[0]


async def test_no_audio_is_no_words(helper: HelperProcess) -> None:
    assert await finish(await begin(helper)) == [""]
    channel = await begin(helper)
    await push(channel, np.zeros(100, dtype=np.int16))
    assert await finish(channel) == [""]
    channel = await begin(helper)
    await push(channel, np.zeros(40_000, dtype=np.int16))
    assert (await finish(channel))[-1] == ""


async def test_words_that_the_dictionary_lacks_are_named_unless_their_sound_is_given(helper: HelperProcess) -> None:
    fields = {"grammar": "other", "words": ["open", "trattoria", "xyzzy"]}
    assert (await load(helper, **fields))["missing"] == ["trattoria", "xyzzy"]
    sounds = {"trattoria": "T R AE T AH R IY AH", "xyzzy": "Z IH Z IY"}
    jsgf = "#JSGF V1.0;\ngrammar agent;\npublic <utterance> = open trattoria | xyzzy | another;\n"
    answer = await load(helper, **fields, jsgf=jsgf, pronunciations=sounds, aliases={"another": "other"})
    assert answer["missing"] == []


async def test_backchannels_are_heard_if_the_dictionary_has_them_and_they_are_no_hum(
    helper: HelperProcess,
) -> None:
    jsgf = "#JSGF V1.0;\ngrammar agent;\npublic <utterance> = when are you open | <backchannel>;\n"
    backchannels = ["okay", "xyzzy", "ah", "uh-huh", "mm-hmm", "got it", ""]
    answer = await load(helper, grammar="small", jsgf=jsgf, backchannels=backchannels)
    assert answer["missing"] == []
    async with caller() as speaker:
        heard = [await speaker.says(said) for said in ("okay", "got it", "when are you open")]
    for samples, text in zip(heard, ["okay", "got it", "when are you open"], strict=True):
        channel = await begin(helper)
        await push(channel, samples)
        assert (await finish(channel))[-1] == text


@pytest.mark.parametrize("backchannels", [[], ["ach so", "mm-hmm", "um"]], ids=["none", "none that can be heard"])
async def test_an_agent_without_backchannels_hears_its_phrases(helper: HelperProcess, backchannels: list[str]) -> None:
    jsgf = f"#JSGF V1.0;\ngrammar agent;\npublic <utterance> = {' | '.join(PHRASES)} | <backchannel>;\n"
    assert (await load(helper, grammar="small", jsgf=jsgf, backchannels=backchannels))["missing"] == []
    async with caller() as speaker:
        samples = await speaker.says(PHRASES[0])
    channel = await begin(helper)
    await push(channel, samples)
    assert (await finish(channel))[-1] == PHRASES[0]


async def test_a_grammar_that_is_none_is_an_error(helper: HelperProcess) -> None:
    with pytest.raises(EngineError, match="does not take the grammar") as raised:
        await load(helper, grammar="broken", jsgf="public <utterance> = (;")
    assert raised.value.code == "bad_grammar"


async def test_more_utterances_than_decoders_are_refused_and_room_comes_back(helper: HelperProcess) -> None:
    channels = [await begin(helper) for _ in range(32)]
    refused = await begin(helper)
    with pytest.raises(EngineError) as raised:
        await refused.receive(TIMEOUT_S)
    assert raised.value.code == "engine_busy"
    channels[0].close({"op": "cancel"})
    assert await finish(await begin(helper)) == [""]
