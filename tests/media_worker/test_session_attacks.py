"""Hostile datagrams and offers."""

import asyncio
import socket
from functools import partial

import pytest
from aiortc.sdp import SessionDescription

from callers.caller import Caller
from callers.voice import RATE
from shared.events import CallerConnected, OfferAnswered, PlayoutReported, SessionClosed
from tests.fakes.counters import Gained
from tests.fakes.media_correspondents import RunningMediaWorker
from tests.fakes.patience import eventually
from tests.fakes.sounds import tone
from tests.media_worker.calls import MovedCaller, calling, connect, hears
from tests.media_worker.core.test_sdp_offer import CHROMIUM

CLIENT_HELLO = bytes.fromhex(
    "16feff000000000000000000360100002a000000000000002afefd"
    + "00" * 32  # random
    + "0000"  # no session, no cookie
    + "00020002"  # one cipher suite: NULL
    + "0100"
)
"""A DTLS ClientHello that offers only a NULL cipher: it ended aiortc sessions for good (evidence of the design)."""


async def test_a_spoofed_client_hello_and_a_flood_of_junk_do_not_hurt_a_call(house: RunningMediaWorker) -> None:
    """From addresses that ICE has not validated, before, while and after the caller connects."""
    dropped = Gained("antiphon_media_datagrams_dropped_total", why="unvalidated_address")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent = 0

    def attack(datagrams: int) -> None:
        nonlocal sent
        for n in range(datagrams):
            stranger.send(CLIENT_HELLO if n % 2 else bytes([20 + n % 200]) + b"junk" * 20)
        sent += datagrams

    async def attacked_exchange(sdp: str) -> str:
        answer = await house.exchange("s1", sdp)
        candidate = SessionDescription.parse(answer).media[0].ice_candidates[0]
        stranger.connect((candidate.ip, candidate.port))
        attack(1)
        for _ in range(40):
            attack(50)
            await asyncio.sleep(0)
        return answer

    async with Caller(exchange=attacked_exchange) as caller:
        await house.pipeline.message(CallerConnected)
        for _ in range(40):
            attack(50)
            await asyncio.sleep(0)
        caller.microphone.play(tone(440, 1, RATE))
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
        await caller.wait_for(lambda: hears(caller, 660))
        await eventually(lambda: dropped() >= sent)
    stranger.close()
    assert dropped() == sent == 4_001
    assert (await house.gateway.message(SessionClosed)).reason == "hangup"


async def test_nothing_is_sent_to_an_address_that_an_offer_only_names(house: RunningMediaWorker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.setblocking(False)
        host, number = victim.getsockname()
        named = f"a=candidate:1 1 udp 2130706431 {host} {number} typ host\r\n"
        offer = CHROMIUM.replace("a=mid:0\r\n", "a=mid:0\r\n" + named * 200)
        assert isinstance(await house.gateway.offer("s9", offer), OfferAnswered)
        async with calling(house):
            await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
            await house.pipeline.message(PlayoutReported, state="finished")
        with pytest.raises(BlockingIOError):
            victim.recv(1)


async def test_checks_with_a_guessed_password_are_not_answered(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        guessing = MovedCaller(call.answer)
        right, guessing.password = guessing.password, "guessed" * 4
        for _ in range(10):
            request = asyncio.create_task(guessing.check())
            await asyncio.sleep(0.01)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        guessing.password = right
        answered = await guessing.check()
        assert answered.check_message_integrity(right.encode()), "the first answer is to the right password"
        guessing.socket.close()


async def test_an_attacker_with_the_credentials_has_the_agents_voice_for_a_second(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        paths = call.session._path._paths
        await eventually(lambda: paths.proven is not None)
        home = paths.selected
        thief = MovedCaller(call.answer)
        await thief.check()
        assert paths.selected != home
        await eventually(lambda: paths.selected == home)
        await thief.check()
        assert paths.selected == home, "a second attempt gets nothing"
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await call.caller.wait_for(lambda: hears(call.caller, 660))
        thief.socket.close()


async def test_the_callers_own_exchange_is_not_disturbed_by_its_neighbours(house: RunningMediaWorker) -> None:
    calls = [asyncio.create_task(connect(house, f"s{n}")) for n in range(4)]
    connected = await asyncio.gather(*calls)
    for n, call in enumerate(connected):
        await house.pipeline.message(CallerConnected, session=call.id)
        await house.pipeline.say(call.id, tone(400 + 200 * n, 1, 24_000).tobytes())
    for n, call in enumerate(connected):
        await call.caller.wait_for(partial(hears, call.caller, 400 + 200 * n))
    for call in connected:
        await call.caller.__aexit__()
