"""The recogniser, and how well it serves the agent that is shipped.

Measured with PocketSphinx 5.1.1: of the 37 sentences below 37 were understood in the first voice and 33 in the second,
and of the 10 foreign ones 9 and 10 were rejected. The floors leave room for the flutter that eSpeak NG adds at random.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_worker.core.backchannels import BargeInWords, expected, usual
from pipeline_worker.engines.options import read_options
from pipeline_worker.engines.pocketsphinx_stt import PocketSphinx, Provider
from pipeline_worker.engines.protocols import Recognised
from pipeline_worker.engines.script import Script
from pipeline_worker.engines.understanding import Understanding
from shared.agent import AgentDefinition
from shared.audio import Pcm
from shared.errors import ConfigError, EngineError
from shared.io.agent_files import load_agents
from tests.fakes.scripts import SCRIPT, scripted_agent
from tests.pipeline_worker.engines.spoken import caller

SENTENCES = """
when are you open
what are your opening hours
are you open on sunday
what time do you close
book a table please
i would like to book a table
i would like to book a table for four on friday at seven
book a table for two tomorrow at half past seven
can i have a table for six
make a reservation for five people on saturday
do you have a table for two tonight
for four people
two people
four
ten
on friday
tomorrow
saturday evening
at half past eight
eight thirty
where are you
how do i find you
what is your address
give me directions please
what kind of food do you serve
do you have vegetarian dishes
what can you do
thank you very much
can you repeat that please
say that again please
what did you say
goodbye and thank you
thank you goodbye
goodbye
that is all thank you
no thank you
hello
""".strip().splitlines()

FOREIGN_SENTENCES = """
my dog has eaten my homework
please transfer two hundred dollars to my bank account
the quick brown fox jumps over the lazy dog
i think the train to london was late again
is there a hospital nearby
um
the stock market fell sharply yesterday afternoon
turn off the light in the kitchen
purple elephants
how old is the president of france
""".strip().splitlines()


def front_desk() -> AgentDefinition:
    return load_agents(Path(__file__).parents[3] / "deploy" / "agents")["front-desk"]


async def started(agent: AgentDefinition) -> Provider:
    provider = Provider()
    provider.add(agent)
    await provider.start()
    return provider


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = await started(scripted_agent())
    yield provider
    await provider.close()


async def recognised(stt: PocketSphinx, samples: Pcm) -> str:
    stream = stt.open()
    for first in range(0, len(samples), 1600):
        await stream.push(samples[first : first + 1600])
    final = await stream.finish()
    assert final.final
    return final.text


@pytest.mark.parametrize(
    ("voice", "rate", "pitch", "every", "understood", "rejected"),
    [("en-us+m3", 170, 45, 1, 0.86, 0.6), ("en-us+f3", 150, 60, 2, 0.73, 0.6)],
)
@pytest.mark.timeout(240)
async def test_the_shipped_agent_understands_its_callers_and_rejects_what_is_not_for_it(
    voice: str, rate: int, pitch: int, every: int, understood: float, rejected: float
) -> None:
    agent = front_desk()
    understanding = Understanding(read_options(agent, "language_model", Script))
    provider = await started(agent)
    stt = provider.open(agent.id)
    misunderstood, accepted = {}, {}
    try:
        async with caller(voice, rate, pitch) as speaker:
            for sentence in SENTENCES[::every]:
                text = await recognised(stt, await speaker.says(sentence))
                if understanding.understand(text) != understanding.understand(sentence):
                    misunderstood[sentence] = text
            for sentence in FOREIGN_SENTENCES[::every]:
                if text := await recognised(stt, await speaker.says(sentence)):
                    accepted[sentence] = text
    finally:
        await provider.close()
    assert 1 - len(misunderstood) / len(SENTENCES[::every]) >= understood, misunderstood
    assert 1 - len(accepted) / len(FOREIGN_SENTENCES[::every]) >= rejected, accepted


async def test_an_uh_huh_or_okay_is_no_phrase_of_the_agent_and_does_not_interrupt_it() -> None:
    agent = front_desk()
    barge_in = BargeInWords(expected(agent), min_words=0)
    provider = await started(agent)
    stt = provider.open(agent.id)
    try:
        async with caller("en-us+f2", 170, 55) as speaker:
            said = ("uh huh", "okay", "I see", "right", "got it", "yeah")
            heard = [await recognised(stt, await speaker.says(sound)) for sound in said]
    finally:
        await provider.close()
    assert heard[:5] == ["uh-huh", "okay", "i see", "right", "got it"]
    assert [text for text in heard[:5] if barge_in.claim(text)] == []
    assert heard[5] == "yes", "which the script has, and which means the same as an answer"


@pytest.mark.parametrize("amplitude", [3, 100, 3000])
async def test_noise_is_not_shown_as_an_uh_huh(provider: Provider, amplitude: int) -> None:
    noise = np.random.default_rng(2).normal(0, amplitude, 20_000).astype(np.int16)
    assert await recognised(provider.open("desk"), noise) not in usual("en")


async def test_words_show_while_they_are_spoken(provider: Provider) -> None:
    async with caller() as speaker:
        samples = await speaker.says("book a table for seven people at half past seven")
    stream = provider.open("desk").open()
    interim: list[Recognised] = []
    for first in range(0, len(samples), 320):
        if heard := await stream.push(samples[first : first + 320]):
            interim.append(heard)
        await asyncio.sleep(0.005)  # A quarter of the time it takes to say: the helper answers on its way.
    final = await stream.finish()
    assert final == Recognised("book a table for seven people at half past seven", final=True)
    texts = [heard.text for heard in interim]
    assert texts and not any(heard.final for heard in interim)
    assert all(one != other for one, other in pairwise(texts))
    assert texts[0].startswith("book")


async def test_speech_that_is_no_phrase_is_no_words(provider: Provider) -> None:
    async with caller() as speaker:
        samples = await speaker.says("My brother has bought a purple bicycle in Norway")
    stt = provider.open("desk")
    assert await recognised(stt, samples) == ""
    assert await recognised(stt, np.zeros(0, dtype=np.int16)) == ""


async def test_utterances_at_once_do_not_mix(provider: Provider) -> None:
    sentences = ["when are you open", "book a table for two", "never mind", "what are your opening hours"]
    async with caller() as speaker:
        heard = [await speaker.says(sentence) for sentence in sentences]
    stt = provider.open("desk")
    alone = [await recognised(stt, samples) for samples in heard]
    assert alone[0] == sentences[0]
    assert await asyncio.gather(*(recognised(stt, samples) for samples in heard)) == alone


async def test_a_cancelled_utterance_is_over_and_the_next_is_heard(provider: Provider) -> None:
    async with caller() as speaker:
        samples = await speaker.says("when are you open")
    stt = provider.open("desk")
    stream = stt.open()
    await stream.push(samples[:20_000])
    await stream.cancel()
    await stream.cancel()
    with pytest.raises(EngineError, match="over"):
        await stream.finish()
    untouched = stt.open()
    await untouched.cancel()
    finishing = asyncio.create_task(recognised(stt, samples))
    await asyncio.sleep(0)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    assert await recognised(stt, samples) == "when are you open"


async def test_a_helper_that_was_killed_fails_its_utterance_and_the_next_has_another(provider: Provider) -> None:
    async with caller() as speaker:
        samples = await speaker.says("when are you open")
    stt = provider.open("desk")
    stream = stt.open()
    await stream.push(samples[:20_000])
    (pid,) = provider.helper_pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineError):
        await stream.finish()
    assert await recognised(stt, samples) == "when are you open"
    assert provider.helper_pids != [pid]


async def test_words_without_a_pronunciation_are_named_at_the_start() -> None:
    script = {**SCRIPT, "intents": [{"name": "name", "phrases": ["is this the trattoria xyzzy"], "reply": "Yes."}]}
    with pytest.raises(ConfigError, match=r"agent 'desk'.*'trattoria', 'xyzzy'.*pronunciations"):
        await started(scripted_agent(script))
    sounds = {"trattoria": "T R AE T AH R IY AH", "xyzzy": "Z IH Z IY"}
    choice = {"engine": "pocketsphinx", "options": {"pronunciations": sounds}}
    provider = await started(scripted_agent(script, speech_to_text=choice))
    await provider.close()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"speech_to_text": {"engine": "pocketsphinx"}},
            r"speech_to_text\.engine: pocketsphinx hears only the phrases",
        ),
        ({}, "speech_to_text: missing, and the default, pocketsphinx, hears only the phrases of a script: add speech"),
    ],
    ids=["chosen", "not chosen"],
)
def test_it_needs_phrases_to_hear(fields: dict[str, Any], told: str) -> None:
    agent = scripted_agent(language_model={"engine": "another"}, **fields)
    with pytest.raises(ConfigError, match=f"agent 'desk': {told}.*choose the language model"):
        Provider().add(agent)


@pytest.mark.parametrize("quiet_s", [1.0, 1.5, 3.0, 10.0])
async def test_whoever_presses_the_button_long_before_speaking_is_understood(quiet_s: float) -> None:
    provider = await started(front_desk())
    async with caller() as speaker:
        samples = await speaker.says("book a table please")
    quiet = np.random.default_rng(1).normal(0, 1, int(quiet_s * 16_000)).astype(np.int16)
    assert await recognised(provider.open("front-desk"), np.concatenate([quiet, samples])) == "book a table please"
    await provider.close()
