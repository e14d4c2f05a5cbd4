"""The sessions of a media worker as a whole: bursts of offers, and requests to leave."""

import asyncio
import itertools

import pytest

from shared.events import (
    ClientEventSent,
    CloseSession,
    GatewayDetached,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    PlayoutReported,
    SessionClosed,
)
from shared.io.inbox import Received
from shared.wire import Item
from tests.fakes.media_correspondents import RunningMediaWorker, running_media_worker
from tests.fakes.patience import eventually
from tests.fakes.sounds import tone
from tests.media_worker.calls import calling
from tests.media_worker.core.test_sdp_offer import CHROMIUM


def offers(house: RunningMediaWorker, count: int) -> list[Item]:
    gateway = house.gateway.id
    return [OpenSession(session=f"o{n}", gateway=gateway, agent_id="a", sdp=CHROMIUM) for n in range(count)]


def dispatch(house: RunningMediaWorker, items: list[Item]) -> None:
    assert house.worker.host is not None
    house.worker.host.dispatch(Received(house.gateway.id, items, follows_gap=False))


async def test_a_burst_of_offers_is_opened_one_by_one_and_does_not_hold_up_running_calls(
    house: RunningMediaWorker,
) -> None:
    async with calling(house):
        dispatch(house, offers(house, 50))
        opened = [len(house.sessions)]
        while opened[-1] < 51:
            await asyncio.sleep(0)
            opened.append(len(house.sessions))
        assert opened[0] == 1
        assert max(after - before for before, after in itertools.pairwise(opened)) == 1
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        (CloseSession(session="o0", reason="bye"), "bye"),
        (GatewayDetached(session="o0", gateway="g"), None),
    ],
)
async def test_what_follows_an_offer_that_waits_is_handled_after_it(
    house: RunningMediaWorker, left: CloseSession | GatewayDetached, reason: str | None
) -> None:
    dispatch(house, [*offers(house, 1), left])
    assert isinstance(await house.gateway.reply("o0"), OfferAnswered)
    if reason is not None:
        assert (await house.gateway.message(SessionClosed, session="o0")).reason == reason
    else:
        assert "o0" in house.sessions, "it left a gateway that is not its own"


async def test_more_offers_at_once_than_a_worker_could_take_are_refused_with_a_retry_time(broker_url: str) -> None:
    async with running_media_worker(broker_url, media_capacity=3) as house:
        dispatch(house, offers(house, 8))
        await house.gateway.until(lambda: len(house.gateway.messages(OfferRefused)) == 5)
        assert all(refusal.retry_after_ms for refusal in house.gateway.messages(OfferRefused))
        await eventually(lambda: len(house.sessions) == 3)


async def test_clients_are_asked_to_leave_one_after_another_and_those_not_asked_when_it_is_undone_hear_nothing(
    house: RunningMediaWorker,
) -> None:
    """All of them made a new peer connection at once, and the other media workers had their handshakes at once."""
    assert house.worker.host is not None
    dispatch(house, offers(house, 3))
    await eventually(lambda: len(house.sessions) == 3)
    asking = asyncio.create_task(house.worker.host.ask_to_leave(60.0))

    def told(kind: str) -> list[str]:
        return [sent.session for sent in house.gateway.messages(ClientEventSent) if sent.event["type"] == kind]

    await asyncio.sleep(0)
    asking.cancel()
    house.worker.host.let_stay()
    await house.gateway.until(lambda: bool(told("stay")))
    assert told("goaway") == told("stay") == ["o0"]
