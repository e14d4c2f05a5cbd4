"""Later offers of a session, ICE restarts, and callers who move."""

import asyncio
import contextlib
import re
from collections.abc import Callable

import pytest
from aioice import stun as aioice_stun
from aiortc.sdp import SessionDescription

from callers.call_record import HEARD_RATE
from shared.events import OfferAnswered, OfferRefused, PlayoutReported, UpdateOffer
from tests.fakes.media_correspondents import PATIENCE_S, RunningMediaWorker
from tests.fakes.sounds import strength, tone
from tests.media_worker.calls import MovedCaller, calling, hears, of_another_peer


def with_new_credentials(offer: str) -> str:
    offer = re.sub(r"a=ice-ufrag:\S+", "a=ice-ufrag:restarted", offer)
    return re.sub(r"a=ice-pwd:\S+", "a=ice-pwd:" + "y" * 24, offer)


async def later_offer(house: RunningMediaWorker, sdp: str, number: int = 0) -> OfferAnswered | OfferRefused:
    gateway = house.gateway
    gateway.received.clear()
    await gateway.send(UpdateOffer(session="s1", gateway=gateway.id, sdp=sdp, offer_number=number))
    return await gateway.reply("s1")


async def test_a_reply_carries_the_number_of_its_offer(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        answered = await later_offer(house, with_new_credentials(call.offer), number=1)
        assert isinstance(answered, OfferAnswered)
        assert answered.offer_number == 1
        refused = await later_offer(house, "nonsense", number=2)
        assert isinstance(refused, OfferRefused)
        assert refused.offer_number == 2


async def test_the_same_offer_again_gets_the_same_answer_and_disturbs_nothing(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        reply = await later_offer(house, call.offer)
        assert isinstance(reply, OfferAnswered)
        first, again = (SessionDescription.parse(sdp).media[0] for sdp in (call.answer, reply.sdp))
        assert first.ice == again.ice
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")


async def test_on_hold_the_caller_is_sent_nothing(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        held = await later_offer(house, call.offer.replace("a=sendrecv", "a=sendonly"))
        assert isinstance(held, OfferAnswered)
        assert SessionDescription.parse(held.sdp).media[0].direction == "recvonly"
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, played_up_to=24_000, state="finished")
        assert isinstance(await later_offer(house, call.offer), OfferAnswered)
        await house.pipeline.say("s1", tone(880, 1, 24_000).tobytes(), first_sample=24_000)
        await call.caller.wait_for(lambda: hears(call.caller, 880))
        assert strength(call.caller.record.heard.samples(), 660, HEARD_RATE) < 0.1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (of_another_peer, "offer_changed"),
        (lambda offer: offer.replace(" 96", " 97").replace(":96 ", ":97 "), "offer_changed"),
        (lambda offer: offer.replace("a=mid:0", "a=mid:5"), "offer_changed"),
        (lambda offer: offer.replace("a=sctp-port", "a=no-sctp-port"), "offer_changed"),
        (lambda offer: offer.replace("v=0", "nonsense"), "bad_sdp"),
    ],
)
async def test_a_later_offer_with_other_fixed_parts_changes_nothing(
    house: RunningMediaWorker, change: Callable[[str], str], code: str
) -> None:
    async with calling(house) as call:
        reply = await later_offer(house, change(with_new_credentials(call.offer)))
        assert isinstance(reply, OfferRefused)
        assert (reply.code, reply.final) == (code, False)
        assert call.session._path._agent.ufrags == [call.session._path.credentials.ufrag]


async def test_after_an_ice_restart_the_call_goes_on_over_the_new_path(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        reply = await later_offer(house, with_new_credentials(call.offer))
        assert isinstance(reply, OfferAnswered)
        old, new = (SessionDescription.parse(sdp).media[0] for sdp in (call.answer, reply.sdp))
        assert old.ice is not None and new.ice is not None and old.dtls is not None and new.dtls is not None
        assert (old.ice.usernameFragment, old.ice.password) != (new.ice.usernameFragment, new.ice.password)
        assert old.dtls.fingerprints == new.dtls.fingerprints
        assert old.ssrc == new.ssrc
        # Before a check with the new credentials the old path carries the call.
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, played_up_to=4_800, state="finished")
        moved = MovedCaller(reply.sdp)
        assert (await moved.check()).message_class == aioice_stun.Class.RESPONSE
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes(), first_sample=4_800)
        assert await moved.datagram(lambda data: 128 <= data[0] < 192)
        assert (await moved.check()).message_class == aioice_stun.Class.RESPONSE
        moved.socket.close()


async def test_many_ice_restarts_leave_two_fragments(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        port = call.session._context.port
        for n in range(5):
            offer = with_new_credentials(call.offer).replace("ufrag:restarted", f"ufrag:restarted{n}")
            assert isinstance(await later_offer(house, offer), OfferAnswered)
        assert set(port._by_ufrag) == set(call.session._path._agent.ufrags)
        assert len(port._by_ufrag) == 2


async def test_hundreds_of_ice_restarts_are_refused_and_the_call_goes_on(house: RunningMediaWorker) -> None:
    """172 a second took a fifth of a core."""
    async with calling(house) as call:
        restarts = [with_new_credentials(call.offer).replace("restarted", f"restarted{n}") for n in range(200)]
        gateway = house.gateway
        gateway.received.clear()
        await gateway.send(
            *(UpdateOffer(session="s1", gateway=gateway.id, sdp=sdp, offer_number=0) for sdp in restarts)
        )
        await gateway.until(
            lambda: len(gateway.messages(OfferAnswered)) + len(gateway.messages(OfferRefused)) == len(restarts)
        )
        assert 10 <= len(gateway.messages(OfferAnswered)) <= 15
        assert {(refused.code, refused.final) for refused in gateway.messages(OfferRefused)} == {
            ("too_many_offers", False)
        }
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await call.caller.wait_for(lambda: hears(call.caller, 660))


async def test_a_caller_whose_address_changes_is_followed(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        moved = MovedCaller(call.answer)
        mapped = (await moved.check()).attributes["XOR-MAPPED-ADDRESS"]
        assert mapped == moved.socket.getsockname()
        await house.pipeline.say("s1", tone(660, 2.0, 24_000).tobytes())
        async with asyncio.timeout(PATIENCE_S):
            while not await hears_media(moved):
                await moved.check()  # a report from the old address has taken the audio back meanwhile
        moved.socket.close()


async def hears_media(caller: MovedCaller) -> bool:
    """Whether a packet comes within a few packets' time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            return bool(await caller.datagram(lambda data: 128 <= data[0] < 192))
    return False


async def test_any_number_of_addresses_costs_a_bounded_number_of_entries(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        owners = call.session._context.port._sockets[0].owners
        for _ in range(40):
            moved = MovedCaller(call.answer)
            await moved.check()
            moved.socket.close()
        assert len(owners) <= 16
