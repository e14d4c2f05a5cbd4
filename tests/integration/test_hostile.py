"""Hostile traffic to running services. It gets errors at most, and never disturbs another call."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import websockets
from aioice import ice as aioice_ice
from aioice import stun as aioice_stun
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription

from callers.caller import Caller
from callers.rtp_caller import RtpCaller
from callers.signaling import NotConnected, Signaling
from callers.voice import RATE
from shared.audio import Pcm
from tests.integration.deployment import Deployment, deployed
from tests.integration.hostile_datagrams import (
    SCTP_CHUNKS,
    Address,
    check,
    junk,
    misuse,
    null_cipher_hello,
    received,
    sockets,
)
from tests.integration.neighbour import talking

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CAPACITY = 4
_JUNK = 4_000
_SOURCES = 100
_TALK_S = 2.0
_LISTEN_S = 3.0
_ATTEMPTS = 40
_RETRY_S = 0.5
_SCTP_PACKETS = 1_000
_DROPPED = "antiphon_media_datagrams_dropped_total"
_CHECKS_REFUSED = "antiphon_media_checks_refused_total"
_AUDIO_DROPPED = "antiphon_media_uplink_dropped_samples_total"
_OFFERS_REFUSED = "antiphon_media_offers_refused_total"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str) -> AsyncIterator[Deployment]:
    """A small deployment whose gateway has wide limits, so that hostile offers reach the media worker."""
    async with deployed(
        broker_url,
        ANTIPHON_MEDIA_CAPACITY=str(_CAPACITY),
        ANTIPHON_GATEWAY_MAX_MESSAGE_BYTES="1000000",
        ANTIPHON_GATEWAY_MAX_SDP_BYTES="500000",
        ANTIPHON_GATEWAY_RETRY_AFTER_MS="300",
    ) as running:
        yield running
        assert await running.leftovers() == []


async def test_a_neighbour_who_is_disturbed_is_noticed(deployment: Deployment) -> None:
    """Else the tests below would prove nothing."""
    with pytest.raises(AssertionError, match="ms of silence"):
        async with _beside_a_call(deployment):
            deployment.media.suspend()
            await asyncio.sleep(0.2)
            deployment.media.carry_on()
    await _one_call(deployment)


async def test_null_cipher_hellos_and_junk_while_a_call_is_set_up(deployment: Deployment) -> None:
    async with _beside_a_call(deployment), _counting(deployment, _DROPPED) as dropped:
        with sockets(1) as (stranger,):

            async def attack(address: Address) -> None:
                for number in range(_JUNK):
                    stranger.sendto(null_cipher_hello() if number % 2 else junk(number), address)
                    if number % 50 == 0:
                        await asyncio.sleep(0.002)

            await _one_call(deployment, meanwhile=lambda answer: attack(_address_of(answer)))
    assert dropped() >= _JUNK * 0.9  # the kernel may drop some


async def test_checks_with_wrong_passwords_from_many_sources(deployment: Deployment) -> None:
    async with _beside_a_call(deployment) as answer, _counting(deployment, _CHECKS_REFUSED, _DROPPED) as refused:
        ufrag = _fragment_of(answer)
        with sockets(_SOURCES) as strangers:
            for stranger in strangers:
                stranger.sendto(check(ufrag, "guessed" * 4), _address_of(answer))
                stranger.sendto(check("nobody", "guessed" * 4), _address_of(answer))
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.5)
            assert [stranger for stranger in strangers if received(stranger)] == []
        await _one_call(deployment)
    assert refused() == 2 * _SOURCES


async def test_a_callers_own_check_sent_again_by_another_steals_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone on the path can copy a check. An attacker who also holds back the original looks like a caller whose
    address changed, for the second within which that address must show a packet that only the caller can make. They
    would only get packets that are encrypted for someone else.
    """
    sent: list[bytes] = []
    send_stun = aioice_ice.StunProtocol.send_stun

    def watched(self: Any, message: aioice_stun.Message, address: Any) -> None:
        sent.append(bytes(message))
        send_stun(self, message, address)

    monkeypatch.setattr(aioice_ice.StunProtocol, "send_stun", watched)
    async with _calling(deployment) as caller:
        nominating = [data for data in sent if "USE-CANDIDATE" in aioice_stun.parse_message(data).attributes]
        with sockets(1) as (thief,):
            async with _counting(deployment, _CHECKS_REFUSED) as refused:
                for data in nominating:
                    thief.sendto(data, _address_of(caller.pc.remoteDescription.sdp))
                await _talk(caller)
            assert received(thief) == []
    assert refused() == len(nominating) > 0
    await _one_call(deployment)


@pytest.mark.parametrize("count", [1, 2_000])
async def test_candidates_that_name_a_service_behind_us(deployment: Deployment, count: int) -> None:
    with sockets(1) as (internal,):
        host, port = internal.getsockname()
        named = f"candidate:1 1 udp 2130706431 {host} {port} typ host"
        offer = {"type": "offer", "sdp": _with_candidates(await _offer(), [named] * count), "agentId": "echo"}
        candidate = {"type": "ice-candidate", "candidate": {"candidate": named, "sdpMid": "0", "sdpMLineIndex": 0}}
        async with _beside_a_call(deployment):
            for _ in range(_ATTEMPTS):
                if (await _signal(deployment, offer, candidate, stay_s=_LISTEN_S))["type"] == "answer":
                    break
                await asyncio.sleep(_RETRY_S)
            else:
                pytest.fail("the offer was not answered")
            assert received(internal) == []
    await _one_call(deployment)


async def test_candidates_by_name_delay_no_call(deployment: Deployment) -> None:
    def hide(sdp: str) -> str:
        return _with_candidates(sdp, [f"candidate:1 1 udp 2130706431 {'0' * 8}-antiphon.local 9 typ host"] * 20)

    async with _beside_a_call(deployment):
        await _one_call(deployment, change=hide)


async def test_an_offer_of_fifty_sections(deployment: Deployment) -> None:
    sdp = await _offer()
    section = "m=audio" + sdp.partition("m=audio")[2]
    async with _beside_a_call(deployment), _counting(deployment, _OFFERS_REFUSED) as refused:
        many = {"type": "offer", "sdp": sdp + section * 49, "agentId": "echo"}
        reply = await _signal(deployment, many)
        assert reply["code"] == "bad_sdp"
    assert refused() == 1
    await _one_call(deployment)


async def test_more_offers_than_there_is_room_for(deployment: Deployment) -> None:
    sdp = await _offer()
    async with _beside_a_call(deployment), asyncio.TaskGroup() as tasks:
        offer = {"type": "offer", "sdp": sdp, "agentId": "echo"}
        offers = [tasks.create_task(_signal(deployment, offer, stay_s=_LISTEN_S)) for _ in range(5 * _CAPACITY)]
    replies = [task.result() for task in offers]
    refused = [reply for reply in replies if reply["type"] == "error"]
    assert 1 <= len(replies) - len(refused) <= _CAPACITY - 1
    assert all(reply["code"] == "no_capacity" and reply["retryAfterMs"] > 0 for reply in refused)
    await _one_call(deployment)


async def test_a_caller_who_takes_no_messages_leaves_room_for_others(deployment: Deployment) -> None:
    def take_none(sdp: str) -> str:
        return re.sub(r"a=max-message-size:\d+", "a=max-message-size:1", sdp)

    async with _beside_a_call(deployment):
        for _ in range(2 * _CAPACITY):
            await _one_call(deployment, change=take_none)


@pytest.mark.parametrize("attack", ["a hole", "no length", "a million acknowledged", "many channels", "a flood"])
async def test_a_connected_caller_who_misuses_the_data_channel(deployment: Deployment, attack: str) -> None:
    async with _beside_a_call(deployment):
        async with _calling(deployment) as hostile:
            sctp = hostile.pc.sctp
            assert sctp is not None and hostile.channel is not None
            for number in range(_SCTP_PACKETS):
                if hostile.channel.readyState != "open":
                    break  # the session was ended
                if attack == "many channels":
                    hostile.pc.createDataChannel("another")
                elif attack == "a flood":
                    for _ in range(SCTP_CHUNKS):
                        hostile.channel.send('{"type": "interrupt"}')
                else:
                    await sctp.transport._send_data(misuse(attack, sctp, number))
                await asyncio.sleep(0.002)
        await _one_call(deployment)


async def test_packets_that_claim_47_times_real_time(deployment: Deployment) -> None:
    """All of it reached the recogniser, who bills by the second."""
    long = bytes([9 << 3 | 3, 6]) + 6 * b"speech"  # six frames of 20 ms
    async with (
        _beside_a_call(deployment),
        _counting(deployment, _AUDIO_DROPPED) as dropped,
        _calling_with_rtp(deployment) as hostile,
    ):
        packets, began_s = round(_TALK_S * 390), asyncio.get_running_loop().time()
        for number in range(packets):
            hostile.send(long, number * 5_760)
            await asyncio.sleep(1 / 500)
        took_s = asyncio.get_running_loop().time() - began_s
    claimed_s = packets * 0.12
    assert claimed_s - dropped() / 16_000 < 1.5 * took_s + 0.15 * claimed_s
    await _one_call(deployment)


async def test_a_flood_of_valid_checks_is_answered_with_no_more_bytes(deployment: Deployment) -> None:
    async with _beside_a_call(deployment), _calling(deployment) as hostile:
        answer = hostile.pc.remoteDescription.sdp
        sent = answered = 0
        with sockets(1) as (flooder,):
            for number in range(_JUNK):
                request = check(_fragment_of(answer), _password_of(answer), nominates=False)
                flooder.sendto(request, _address_of(answer))
                sent += len(request)
                if number % 4 == 0:
                    await asyncio.sleep(0.001)
                answered += sum(map(len, received(flooder)))
        assert 0 < answered < sent / 4
        await _talk(hostile)


# -- callers ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _beside_a_call(deployment: Deployment) -> AsyncIterator[str]:
    """A call whose caller hears their own echo all the time, without a gap. Yields the answer."""
    async with _calling(deployment) as caller, talking(caller, deployment.services):
        yield caller.pc.remoteDescription.sdp


async def _talk(caller: Caller) -> None:
    """Send a tone, and wait until its echo was heard."""
    before_s = caller.record.heard.sound_s(0)
    caller.microphone.play(_tone(_TALK_S))
    await caller.wait_for(lambda: caller.record.heard.sound_s(0) - before_s > 0.8 * _TALK_S)


async def _one_call(
    deployment: Deployment,
    meanwhile: Callable[[str], Awaitable[None]] | None = None,
    change: Callable[[str], str] = str,
) -> None:
    """A call in which the caller hears their own echo. `meanwhile` runs between the answer and the connection."""
    async with _calling(deployment, meanwhile, change) as caller:
        await _talk(caller)


@asynccontextmanager
async def _calling(
    deployment: Deployment,
    meanwhile: Callable[[str], Awaitable[None]] | None = None,
    change: Callable[[str], str] = str,
) -> AsyncIterator[Caller]:
    """A connected caller. Retries while there is no room: the last test's sessions may still be ending."""

    async def exchange(sdp: str) -> str:
        answer = await caller.signaling.exchange(change(sdp))
        if meanwhile is not None:
            await meanwhile(answer)
        return answer

    for attempt in range(_ATTEMPTS):
        caller = Caller(deployment.signaling_url, "echo", exchange=exchange)
        try:
            await caller.__aenter__()
            await caller.wait_for_status("listening")
            yield caller
            return
        except NotConnected as refused:
            if refused.code != "no_capacity" or attempt == _ATTEMPTS - 1:
                raise
        finally:
            await caller.__aexit__()
        await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def _calling_with_rtp(deployment: Deployment) -> AsyncIterator[RtpCaller]:
    """A caller whose packets we write ourselves."""
    signaling = Signaling(deployment.signaling_url, "echo", lambda _: None)

    async def exchange(sdp: str) -> str:
        nonlocal signaling
        for _ in range(_ATTEMPTS):
            try:
                return await signaling.exchange(sdp)
            except NotConnected as refused:
                if refused.code != "no_capacity":
                    raise
            await signaling.close()
            await asyncio.sleep(_RETRY_S)
            signaling = Signaling(deployment.signaling_url, "echo", lambda _: None)
        pytest.fail("there was no room")

    caller = RtpCaller()
    try:
        await caller.connect(exchange)
        yield caller
    finally:
        await caller.close()
        await signaling.close()


async def _signal(deployment: Deployment, *messages: dict[str, Any], stay_s: float = 0.0) -> dict[str, Any]:
    """The gateway's answer or error. The socket stays open for `stay_s` after it."""
    async with websockets.connect(deployment.signaling_url) as client, asyncio.timeout(20):
        for message in messages:
            await client.send(json.dumps(message))
        reply: dict[str, Any] = {"type": "status"}
        while reply["type"] not in ("answer", "error"):
            reply = json.loads(await client.recv())
        await asyncio.sleep(stay_s)
    return reply


def _tone(seconds: float) -> Pcm:
    return (8_000 * np.sin(np.arange(int(RATE * seconds)) / 20)).astype(np.int16)


# -- descriptions -----------------------------------------------------------------------------------------------------


async def _offer() -> str:
    """The offer of an ordinary caller, who never connects."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver("audio")
    await pc.setLocalDescription(await pc.createOffer())
    sdp: str = pc.localDescription.sdp
    await pc.close()
    return sdp


def _with_candidates(sdp: str, candidates: list[str]) -> str:
    """The offer with these candidates instead of its own."""
    kept = [line for line in sdp.split("\r\n") if not line.startswith("a=candidate:")]
    at = kept.index("a=end-of-candidates")
    return "\r\n".join([*kept[:at], *(f"a={candidate}" for candidate in candidates), *kept[at:]])


def _address_of(answer: str) -> Address:
    candidate = SessionDescription.parse(answer).media[0].ice_candidates[0]
    return candidate.ip, candidate.port


def _fragment_of(answer: str) -> str:
    return answer.partition("a=ice-ufrag:")[2].split("\r\n")[0]


def _password_of(answer: str) -> str:
    return answer.partition("a=ice-pwd:")[2].split("\r\n")[0]


@asynccontextmanager
async def _counting(deployment: Deployment, *metrics: str) -> AsyncIterator[Callable[[], float]]:
    """Yields a function that returns, after leaving, how much the media worker's counter has increased."""

    def total() -> float:
        return sum(map(deployment.media.metric, metrics))

    before = await asyncio.to_thread(total)
    gained: list[float] = []
    yield lambda: gained[0]
    gained.append(await asyncio.to_thread(total) - before)
