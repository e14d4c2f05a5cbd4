"""A real Chromium as our peer, measured on both sides: its own recording and statistics, and the pipeline's inbox."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext

from callers.voice import RATE as CALLER_RATE
from pipeline_worker.engines.resampling import resampled
from shared.audio import UPLINK_RATE, Pcm, samples_in
from tests.browser.chromium import chromium, write_wave
from tests.browser.peer import Peer, calling, until
from tests.browser.pipeline_tap import PipelineTap, tapped
from tests.browser.turn_server import TurnServer, turn_server
from tests.fakes.sounds import strength, tone
from tests.integration.deployment import Deployment, deployed
from tests.integration.echo import find_echo
from tests.integration.speech import spoken

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SILENCE_S = 60.0
_MAX_CONCEALED_SHARE = 0.005
_SAME_VOICE = 0.85
_NO_HOLE = 0.5
_SILK_WIDEBAND = {8, 9, 10, 11}
"""Configurations of a TOC byte that mean 8 kHz of bandwidth (RFC 6716 §3.1)."""
_TALK_S = 40.0
_QUIET_S = 4.0
_LATER_THAN_ANY_PACKET_MS = 400

_NOTE_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(config) { super(config); window.connections.push(this); }
};
"""
_START = "() => { document.querySelector('voice-agent').find('#callBtn:not(.in-call)')?.click(); }"
_RELAYED = """async () => {
  const report = await window.connections.at(-1).getStats();
  const entries = [...report.values()];
  const pair = report.get(entries.find((entry) => entry.type === 'transport').selectedCandidatePairId);
  const inbound = entries.find((entry) => entry.type === 'inbound-rtp');
  return { ours: report.get(pair.localCandidateId), energy: inbound.totalAudioEnergy };
}"""


@pytest.fixture(scope="module")
def turn() -> Iterator[TurnServer]:
    with turn_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str, turn: TurnServer) -> AsyncIterator[Deployment]:
    async with deployed(
        broker_url,
        ANTIPHON_GATEWAY_ORIGINS="*",
        ANTIPHON_GATEWAY_TURN_URLS=turn.url(),
        ANTIPHON_GATEWAY_TURN_SECRET_FILE=str(turn.secret_file),
        ANTIPHON_GATEWAY_ICE_TRANSPORT_POLICY="relay",
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def words() -> Pcm:
    """48 kHz mono."""
    (said,) = await spoken("One two three four five six seven.")
    return said


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(words: Pcm, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserContext]:
    """Its microphone repeats the words; pages that bring their own do not use it."""
    microphone: Path = tmp_path_factory.mktemp("microphone") / "words.wav"
    async with chromium(write_wave(microphone, np.tile(words, 10))) as context:
        yield context


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def idle_call(browser: BrowserContext, deployment: Deployment) -> AsyncIterator[asyncio.Task[list[Any]]]:
    """A call whose agent says nothing for a minute, at the same time as the other tests.

    The statistics after the greeting, after the silence and after the answer.
    """
    async with calling(browser, deployment.signaling_url, "front-desk", records=False) as peer:
        await peer.until("peer.answers === 1 && peer.status === 'listening'", _TALK_S)
        task = asyncio.create_task(_silence_and_answer(peer))
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _silence_and_answer(peer: Peer) -> list[Any]:
    statistics = [await peer.stats("inbound-rtp")]
    await asyncio.sleep(_SILENCE_S)
    statistics.append(await peer.stats("inbound-rtp"))
    await peer.run("peer.type('What are your opening hours?')")
    await peer.until("peer.answers === 2 && peer.status === 'listening'", _TALK_S)
    statistics.append(await peer.stats("inbound-rtp"))
    return statistics


@contextlib.asynccontextmanager
async def _echo(browser: BrowserContext, deployment: Deployment) -> AsyncIterator[tuple[Peer, PipelineTap]]:
    async with (
        calling(browser, deployment.signaling_url, "echo") as peer,
        tapped(deployment.broker_url, await peer.session()) as tap,
    ):
        await peer.until("peer.status === 'listening'")
        yield peer, tap


def _likeness(tap: PipelineTap, said: Pcm) -> float:
    return find_echo(tap.pcm(), resampled(said, CALLER_RATE, UPLINK_RATE), UPLINK_RATE).likeness


async def test_the_callers_voice_reaches_the_pipeline_and_comes_back(
    browser: BrowserContext, deployment: Deployment, words: Pcm
) -> None:
    async with _echo(browser, deployment) as (peer, tap):
        await peer.say(words)
        await peer.until_quiet()
        heard, statistics = await peer.heard(), await peer.stats("inbound-rtp")
    print(find_echo(heard, words, CALLER_RATE), _likeness(tap, words))
    assert find_echo(heard, words, CALLER_RATE).likeness > _SAME_VOICE
    assert _likeness(tap, words) > _SAME_VOICE
    assert tap.gaps() == 0
    assert statistics["totalAudioEnergy"] > 0.01


async def test_an_ice_restart_does_not_interrupt_the_audio(
    browser: BrowserContext, deployment: Deployment, words: Pcm
) -> None:
    speech = np.tile(words, 3)
    async with _echo(browser, deployment) as (peer, tap):
        talking = asyncio.create_task(peer.say(speech))
        paths, answered = [await peer.do("path()")], {await peer.do("fragment('remoteDescription')")}
        for _ in range(2):
            await peer.until(f"peer.loudMs > {await peer.get('loudMs') + 500}")
            await peer.do("restartIce()")
            await peer.until("peer.isOnNewestPath()")
            paths.append(await peer.do("path()"))
            answered.add(await peer.do("fragment('remoteDescription')"))
        await talking
        await peer.until_quiet()
        heard, states = await peer.heard(), await peer.get("states")
    print(paths, find_echo(heard, speech, CALLER_RATE))
    for part in ("pair", "address", "localFragment"):
        assert len({path[part] for path in paths}) == 3, part
    assert len(answered) == 3
    assert len({path["remoteAddress"] for path in paths}) == 1
    assert states == ["connecting", "connected"]
    echo = find_echo(heard, speech, CALLER_RATE)
    assert echo.likeness > _SAME_VOICE
    assert echo.worst > _NO_HOLE
    assert _likeness(tap, speech) > _SAME_VOICE
    assert tap.gaps() == 0


@pytest.mark.parametrize(
    ("mute", "unmute"),
    [
        ("peer.track.enabled = false", "peer.track.enabled = true"),
        ("peer.sender.replaceTrack(null)", "peer.sender.replaceTrack(peer.track)"),
    ],
    ids=["track disabled", "track removed"],
)
async def test_a_muted_caller_is_silent_and_then_heard_again(
    browser: BrowserContext, deployment: Deployment, words: Pcm, mute: str, unmute: str
) -> None:
    async with _echo(browser, deployment) as (peer, tap):
        await peer.say(words)
        await peer.until_quiet()
        assert _likeness(tap, words) > _SAME_VOICE
        await peer.run(mute)
        tap.clear()
        await peer.say(words)
        await peer.until_recorded(_LATER_THAN_ANY_PACKET_MS)
        assert tap.loud_ms == 0
        assert len(tap.pcm()) >= len(words) // (
            CALLER_RATE // UPLINK_RATE
        )  # silence runs were sent, rather than nothing
        await peer.run(unmute)
        await peer.say(words)
        await peer.until_quiet()
    assert _likeness(tap, words) > _SAME_VOICE
    assert tap.gaps() == 0


async def test_the_uplink_is_wideband_and_next_to_nothing_in_silence(
    browser: BrowserContext, deployment: Deployment, words: Pcm
) -> None:
    async with _echo(browser, deployment) as (peer, tap):
        await peer.say(words)
        spoken_packets = await peer.get("packets")
        tap.clear()
        await peer.say(tone(6_000, 1.0, CALLER_RATE))
        await peer.until("peer.packets.at(-1).bytes <= 2")
        treble = strength(tap.pcm(), 6_000, UPLINK_RATE)
        sent = (await peer.stats("outbound-rtp"))["packetsSent"]
        await peer.until_recorded(_QUIET_S * 1000)
        sent = (await peer.stats("outbound-rtp"))["packetsSent"] - sent
    print(f"{sent / _QUIET_S:g} packets per second in silence, {treble:.3f} of the energy of a tone at 6 kHz")
    assert {packet["toc"] >> 3 for packet in spoken_packets} <= _SILK_WIDEBAND
    assert treble > 0.5
    assert 1 <= sent / _QUIET_S <= 8


async def test_a_caller_whom_the_server_sends_to_its_relay_talks_on_our_page(
    browser: BrowserContext, deployment: Deployment, turn: TurnServer
) -> None:
    page = await browser.new_page()
    await page.add_init_script(_NOTE_CONNECTIONS)
    await page.goto(f"http://127.0.0.1:{deployment.port}/?agent=echo")
    await until(page, f"({_START})() || ({_RELAYED})().then(({{ energy }}) => energy > 0.05, () => false)", _TALK_S)
    relayed = await page.evaluate(_RELAYED)
    await page.click("#callBtn")
    await page.close()
    assert relayed["ours"]["candidateType"] == "relay"
    assert relayed["ours"]["url"].startswith(f"turn:127.0.0.1:{turn.port}")


@pytest.mark.timeout(240)
async def test_an_agent_that_was_silent_for_a_minute_is_heard_without_concealment(
    idle_call: asyncio.Task[list[Any]],
) -> None:
    greeted, silent, answered = await idle_call
    for moment in (greeted, silent, answered):
        print(f"{moment['concealedSamples']} of {moment['totalSamplesReceived']} samples concealed")
    silence = silent["totalSamplesReceived"] - greeted["totalSamplesReceived"]
    assert silence >= 0.95 * samples_in(_SILENCE_S * 1000, CALLER_RATE)
    assert answered["totalAudioEnergy"] > 1.2 * silent["totalAudioEnergy"] > 0
    assert answered["concealedSamples"] < _MAX_CONCEALED_SHARE * answered["totalSamplesReceived"]
