"""The process as a whole: its inbox, its room, its start and its end."""

import asyncio
import socket
from functools import partial
from pathlib import Path

import psutil
import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport
from structlog.testing import capture_logs

from callers.caller import Caller
from media_worker.settings import MediaSettings
from media_worker.worker import MediaWorker
from shared import keys
from shared.errors import BrokerError, ConfigError
from shared.events import (
    CallerConnected,
    ClientEventSent,
    CloseSession,
    FlushPlayout,
    GatewayAttached,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    PlayoutReported,
    SessionClosed,
    UpdateOffer,
)
from shared.frames import AudioFrame, SilenceRun
from shared.io.broker import Redis
from shared.io.heartbeat import live_workers, wall_ms
from tests.fakes.counters import Gained
from tests.fakes.media_correspondents import RunningMediaWorker, running_media_worker
from tests.fakes.own_broker import OwnBroker
from tests.fakes.patience import eventually
from tests.fakes.sounds import tone
from tests.media_worker.core.test_sdp_offer import CHROMIUM


async def test_announces_itself_and_counts_its_sessions(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url, media_capacity=7, zone="north") as house:
        (report,) = await live_workers(broker, "media")
        assert (report.worker_id, report.state, report.sessions, report.capacity) == (house.worker.id, "serving", 0, 7)
        assert report.zone == "north"
        reservations = keys.reservations("media", house.worker.id)
        await broker.zadd(reservations, {"s1": wall_ms() + 15_000, "s2": wall_ms() + 15_000})
        await house.gateway.offer("s1", CHROMIUM)
        async with asyncio.timeout(5):
            while await broker.zrange(reservations, 0, -1) != [b"s2"]:  # noqa: ASYNC110 - a report has no event
                await asyncio.sleep(0.01)
        (report,) = await live_workers(broker, "media")
        assert report.sessions == 1
    assert await live_workers(broker, "media") == []
    left = [key for key in await broker.keys("*") if house.worker.id.encode() in key]
    assert all([0 < await broker.ttl(key) <= 60 for key in left]), "late messages expire"


async def test_a_full_worker_refuses_with_a_retry_time(broker_url: str) -> None:
    async with running_media_worker(broker_url, media_capacity=1) as house:
        assert isinstance(await house.gateway.offer("s1", CHROMIUM), OfferAnswered)
        reply = await house.gateway.offer("s2", CHROMIUM)
        assert isinstance(reply, OfferRefused)
        assert (reply.code, reply.final) == ("no_capacity", True)
        assert reply.retry_after_ms is not None
        assert reply.retry_after_ms > 0
        await house.gateway.send(CloseSession(session="s1"))
        await house.gateway.message(SessionClosed, session="s1")
        await eventually(lambda: not house.sessions)
        assert isinstance(await house.gateway.offer("s3", CHROMIUM), OfferAnswered)


@pytest.mark.parametrize(
    ("sdp", "code"), [("hello", "bad_sdp"), (CHROMIUM.replace("m=audio", "m=video"), "no_audio"), ("", "bad_sdp")]
)
async def test_an_offer_that_cannot_be_answered_is_refused_with_its_code(broker_url: str, sdp: str, code: str) -> None:
    async with running_media_worker(broker_url) as house:
        reply = await house.gateway.offer("s1", sdp)
        assert isinstance(reply, OfferRefused)
        assert (reply.code, reply.final) == (code, True)
        assert house.sessions == {}


async def test_the_same_session_is_opened_once(broker_url: str) -> None:
    async with running_media_worker(broker_url) as house:
        await house.gateway.offer("s1", CHROMIUM)
        first = house.sessions["s1"]
        await house.gateway.send(OpenSession(session="s1", gateway=house.gateway.id, agent_id="a", sdp=CHROMIUM))
        await house.gateway.offer("s2", CHROMIUM)
        assert house.sessions["s1"] is first
        assert len(house.gateway.messages(OfferAnswered)) == 2


async def test_messages_for_strangers_are_counted(broker_url: str) -> None:
    strays = Gained("antiphon_media_stray_messages_total")
    async with running_media_worker(broker_url) as house:
        await house.pipeline.send(
            FlushPlayout(session="gone", epoch=1),
            AudioFrame("gone", 1, 0, 0, 24_000, 1, bytes(960)),
            SilenceRun("gone", 1, 0, 0, 16_000, 320),
            CloseSession(session="gone"),
            UpdateOffer(session="gone", gateway="g", sdp=CHROMIUM),
        )
        await house.gateway.offer("s1", CHROMIUM)
        await eventually(lambda: strays() >= 3)
        assert list(house.sessions) == ["s1"]


async def test_a_session_may_be_closed_before_it_connects(broker_url: str) -> None:
    async with running_media_worker(broker_url) as house:
        await house.gateway.send(
            OpenSession(session="s1", gateway=house.gateway.id, agent_id="a", sdp=CHROMIUM),
            CloseSession(session="s1", reason="hangup"),
        )
        assert (await house.gateway.message(SessionClosed)).reason == "hangup"
        await eventually(lambda: not house.sessions)


async def test_stopping_ends_the_sessions_and_informs_both_sides(broker_url: str) -> None:
    async with running_media_worker(broker_url) as house, Caller(exchange=partial(house.exchange, "s1")) as caller:
        await house.pipeline.message(CallerConnected)
        house.stop.set()
        assert (await house.gateway.message(SessionClosed)).reason == "worker_stopped"
        assert (await house.pipeline.message(SessionClosed)).reason == "worker_stopped"
        await caller.wait_for(lambda: any(e.get("status") == "ended" for e in caller.channel_events))


async def wish(broker: Redis, house: RunningMediaWorker, wanted: str) -> None:
    """The operator's; until the worker shows it."""
    await broker.set(keys.wish("media", house.worker.id), wanted)
    state = "serving" if wanted == "serving" else "draining"
    async with asyncio.timeout(5):
        while (await live_workers(broker, "media"))[0].state != state or house.worker._heartbeat.wish != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_worker_drained_by_its_operator_keeps_its_calls_and_takes_no_others_until_that_is_undone(
    broker_url: str, broker: Redis
) -> None:
    async with running_media_worker(broker_url) as house, Caller(exchange=partial(house.exchange, "s1")) as caller:
        await house.pipeline.message(CallerConnected)
        await wish(broker, house, "draining")
        refusal = await house.gateway.offer("s2", CHROMIUM)
        assert isinstance(refusal, OfferRefused)
        assert (refusal.code, refusal.message) == ("no_capacity", "this media worker is draining")
        assert not any(event["type"] == "goaway" for event in caller.channel_events)
        await wish(broker, house, "moving")
        await caller.wait_for(lambda: any(event["type"] == "goaway" for event in caller.channel_events))
        assert list(house.sessions) == ["s1"]
        await wish(broker, house, "serving")
        await caller.wait_for(lambda: caller.channel_events[-1]["type"] == "stay")
        assert isinstance(await house.gateway.offer("s3", CHROMIUM), OfferAnswered)
        asked = [event["type"] for event in caller.channel_events].count("goaway")
        came_back = GatewayAttached(session="s1", gateway=house.gateway.id)
        await house.gateway.send(came_back, UpdateOffer(session="s1", gateway=house.gateway.id, sdp=""))
        await house.gateway.message(OfferRefused, session="s1")
        asked_gateway = [sent.event["type"] for sent in house.gateway.messages(ClientEventSent)].count("goaway")
        assert asked_gateway == asked == 1, "it need not go any more"


async def test_session_ends_are_delivered_despite_a_slow_broker_at_stop(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as house:
        await house.gateway.offer("s1", CHROMIUM)
        await eventually(lambda: any(item.session == "s1" for item in house.gateway.messages(ClientEventSent)))
        with capture_logs():
            await broker.client_pause(1_400)
            house.sessions["s1"]._events.publish("status", {"status": "listening"})  # is in flight at the stop
            house.stop.set()
            assert (await house.gateway.message(SessionClosed)).reason == "worker_stopped"


async def test_calls_one_after_another_leave_nothing_behind(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as house:

        def open_files() -> int:
            """Without the connections to the broker, which are opened as needed and kept."""
            return psutil.Process().num_fds() - len(psutil.Process().net_connections("tcp"))

        tasks = files = 0
        for n in range(4):
            async with Caller(exchange=partial(house.exchange, f"s{n}")):
                await house.pipeline.message(CallerConnected, session=f"s{n}")
            await house.gateway.message(SessionClosed, session=f"s{n}")
            await eventually(lambda: not house.sessions)
            if n == 0:
                await eventually(lambda: not any("session" in task.get_name() for task in asyncio.all_tasks()))
                tasks, files = len(asyncio.all_tasks()), open_files()
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
        await eventually(lambda: open_files() <= files)
        async with asyncio.timeout(5):
            while await broker.keys("antiphon:s:*"):  # noqa: ASYNC110 - a key has no event
                await asyncio.sleep(0.01)


async def test_a_broker_that_is_away_for_a_moment_does_not_end_a_call(tmp_path: Path) -> None:
    with OwnBroker(tmp_path).running() as own:
        async with running_media_worker(own.url) as house, Caller(exchange=partial(house.exchange, "s1")) as caller:
            await house.pipeline.message(CallerConnected)
            await house.pipeline.say("s1", tone(660, 4, 24_000).tobytes())
            await house.pipeline.message(PlayoutReported, state="playing")
            heard_s, told = caller.record.heard.sound_s(0), len(house.pipeline.received)
            with capture_logs():
                await house.pipeline._redis.client_pause(1_500)
                await caller.wait_for(lambda: caller.record.heard.sound_s(0) > heard_s + 1)
                assert len(house.pipeline.received) <= told + 10, "the broker is away while the agent is heard"
                await house.pipeline.message(PlayoutReported, state="finished")
            items = house.pipeline.uplink("s1")
            assert [item.seq for item in items] == list(range(len(items))), "no frame is lost in so short a pause"


# -- start ------------------------------------------------------------------------------------------------------------


async def start(**values: object) -> None:
    await MediaWorker(MediaSettings.model_validate({"public_ips": "127.0.0.1", **values})).run(asyncio.Event())


async def test_without_a_broker_it_says_so() -> None:
    with pytest.raises(BrokerError, match="ANTIPHON_REDIS_URL"):
        await start(redis_url="redis://127.0.0.1:1/0")


async def test_a_port_in_use_is_a_config_error(broker_url: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigError, match="UDP port"):
            await start(redis_url=broker_url, media_port=taken.getsockname()[1])


async def test_a_changed_aiortc_is_noticed_at_start(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RTCDtlsTransport, "_set_role")
    with pytest.raises(ConfigError, match="aiortc"):
        await start(redis_url=broker_url)
