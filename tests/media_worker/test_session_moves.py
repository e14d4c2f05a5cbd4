"""A session that moves between media workers or gateways."""

import asyncio
import contextlib
from typing import Any

import pytest

from callers.caller import Caller
from callers.signaling import NotConnected
from shared import keys
from shared.events import (
    CallerConnected,
    ClientEventSent,
    CloseSession,
    GatewayAttached,
    GatewayDetached,
    MediaAttached,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    PlayoutReported,
    PublishEvent,
    Resume,
    SessionClosed,
)
from shared.ids import new_worker_id
from shared.io.broker import Redis
from tests.fakes.media_correspondents import (
    PATIENCE_S,
    GatewayStandIn,
    RunningMediaWorker,
    running_media_worker,
)
from tests.fakes.patience import eventually
from tests.fakes.sounds import tone
from tests.media_worker.calls import calling
from tests.media_worker.core.test_sdp_offer import CHROMIUM
from tests.media_worker.moving_sessions import offering, record_of, recorded, resume_of, stored_events


async def test_a_client_that_reloads_its_page_goes_on_with_the_same_agent(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        before = call.session
        house.pipeline.received.clear()
        async with Caller(exchange=offering(house, resume_of(house))) as reloaded:
            attached = await house.pipeline.message(MediaAttached)
            assert (attached.media_worker, attached.generation, attached.published) == (house.worker.id, 2, 5)
            assert house.sessions["s1"] is not before
            await eventually(before._closed.done)
            await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > 10)
            position = 96_000
            await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes(), first_sample=position)
            report = await house.pipeline.message(PlayoutReported, state="finished")
            assert report.played_up_to == position + 12_000
            await house.pipeline.send(
                PublishEvent(session="s1", epoch=1, type="transcript", fields={"text": "hello"}, number=6)
            )
            await reloaded.wait_for(lambda: any(e.get("text") == "hello" for e in reloaded.channel_events))
            assert [e["seq"] for e in reloaded.channel_events] == [6_000]
            assert not house.pipeline.messages(SessionClosed)
            assert [closed.reason for closed in house.gateway.messages(SessionClosed)] == ["moved"]
            assert not house.pipeline.messages(CallerConnected)
    assert (await house.pipeline.message(SessionClosed)).reason == "hangup"


async def test_a_session_moves_to_another_media_worker(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as old, running_media_worker(broker_url, claims=False) as new:
        async with calling(old) as call:
            await recorded(broker, lambda record: record.get("pipeline_worker"))
            async with Caller(exchange=offering(new, resume_of(old))):
                await old.pipeline.message(MediaAttached, media_worker=new.worker.id, generation=2)
                record = await recorded(broker, lambda record: record["generation"] == "2")
                assert (record["media_worker"], record["epoch"]) == (new.worker.id, "1")
                await eventually(lambda: not old.sessions)
                assert not old.pipeline.messages(SessionClosed), "the conversation goes on"
                assert (await old.gateway.message(SessionClosed)).reason == "moved"
                assert "ended" not in [event.get("status") for event in call.caller.channel_events]
                assert (await record_of(broker))["media_worker"] == new.worker.id
                await old.pipeline.attach("s1", epoch=2)
                await old.pipeline.message(SessionClosed, reason="replaced", epoch=2)
        await new.gateway.message(SessionClosed)


async def test_a_caller_who_closes_the_old_connection_before_it_hears_of_the_move_keeps_their_session(
    broker_url: str, broker: Redis
) -> None:
    """A drained session was lost with the reason `hangup`: the network was faster than the broker."""
    async with running_media_worker(broker_url) as old:
        async with calling(old) as call:
            session = call.session
        await eventually(lambda: session._lifetime.hung_up)
        await old.gateway.send(CloseSession(session="s1", reason="moved"))
        assert (await old.gateway.message(SessionClosed)).reason == "moved"
        await eventually(lambda: not old.sessions)
        assert not old.pipeline.messages(SessionClosed), "the conversation goes on"
        assert "ended" not in [sent.event.get("status") for sent in old.gateway.messages(ClientEventSent)]


async def test_a_session_that_has_come_back_is_not_ended_by_late_news_of_where_it_was(
    house: RunningMediaWorker,
) -> None:
    async with (
        calling(house),
        Caller(exchange=offering(house, resume_of(house, generation=3, media_worker="m2"))) as back,
    ):
        await house.pipeline.message(MediaAttached, generation=3)
        await house.gateway.send(CloseSession(session="s1", reason="moved", generation=2))
        await house.pipeline.send(PublishEvent(session="s1", epoch=1, type="transcript", fields={"text": "hello"}))
        await back.wait_for(lambda: any(e.get("text") == "hello" for e in back.channel_events))
    await eventually(lambda: not house.sessions)


async def test_both_workers_of_a_session_may_die_at_once(broker_url: str) -> None:
    async with running_media_worker(broker_url) as house:
        dead = resume_of(house, media_worker="m-dead", pipeline_worker="p-dead", epoch=7)
        async with Caller(exchange=offering(house, dead)):
            await house.pipeline.message(CallerConnected, published=5)
            (job,) = house.pipeline.jobs
            assert job.epoch > 7
            assert (job.generation, job.resumed) == (2, True)


async def test_a_media_worker_that_was_stopped_does_not_end_the_session_that_has_moved(
    broker_url: str, broker: Redis
) -> None:
    async with running_media_worker(broker_url) as house, calling(house) as call:
        await recorded(broker, bool)
        await broker.hset(keys.session("s1"), mapping={"generation": "2", "media_worker": "m2"})
        attached = GatewayAttached(session="s1", gateway=house.gateway.id)
        await house.gateway.send(attached)
        session = call.session
        await eventually(session._closed.done)
        assert session._closed.result() == "moved"
        await eventually(lambda: not house.sessions)
        assert (await record_of(broker))["media_worker"] == "m2"
        assert not house.pipeline.messages(SessionClosed)


async def test_an_attempt_to_move_that_never_connects_harms_nobody(broker_url: str, broker: Redis) -> None:
    async with (
        running_media_worker(broker_url) as old,
        running_media_worker(broker_url, claims=False, media_check_timeout_s=0.3) as new,
        calling(old),
    ):
        await recorded(broker, lambda record: record.get("pipeline_worker"))
        assert isinstance(await new.gateway.offer("s1", CHROMIUM, resume_of(old)), OfferAnswered)
        assert (await new.gateway.message(SessionClosed)).reason == "connect_timeout"
        await eventually(lambda: not new.sessions)
        assert (await record_of(broker))["media_worker"] == old.worker.id
        await old.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await old.pipeline.message(PlayoutReported, state="finished")
        assert not old.pipeline.messages(SessionClosed)


async def test_a_session_counts_until_it_ends_whatever_became_of_an_attempt_to_move_it(
    broker_url: str, broker: Redis
) -> None:
    counter = keys.counter("key", "website")

    def opening(house: RunningMediaWorker, session: str, resume: Resume | None = None) -> OpenSession:
        counted = {"counted_in": (counter,), "resume": resume}
        return OpenSession(session=session, gateway=house.gateway.id, agent_id="echo", sdp=CHROMIUM, **counted)

    async def until_counted(*sessions: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while sorted(await broker.zrange(counter, 0, -1)) != [session.encode() for session in sessions]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async with running_media_worker(broker_url) as old:
        await old.gateway.send(opening(old, "s1"), opening(old, "s2"))
        await until_counted("s1", "s2")
        async with running_media_worker(broker_url, claims=False) as new:
            await new.gateway.send(opening(new, "s1", resume_of(old)))
            await new.gateway.reply("s1")
            await new.gateway.send(CloseSession(session="s1", reason="connect_timeout"))
            await new.gateway.message(SessionClosed, session="s1")
        assert sorted(await broker.zrange(counter, 0, -1)) == [b"s1", b"s2"]
        await old.gateway.send(CloseSession(session="s2"))
        await until_counted("s1")
        await old.gateway.send(CloseSession(session="s1"))
        await until_counted()


async def test_a_client_that_comes_back_too_early_may_try_again(broker_url: str, broker: Redis) -> None:
    """UDP was blocked for longer than a check may take. The old peer connection at this media worker is over."""
    async with running_media_worker(broker_url, media_check_timeout_s=0.3) as house, calling(house):
        await recorded(broker, lambda record: record.get("pipeline_worker"))
        house.gateway.received.clear()
        assert isinstance(await house.gateway.offer("s1", CHROMIUM, resume_of(house)), OfferAnswered)
        await house.gateway.message(SessionClosed, reason="connect_timeout")
        await eventually(lambda: not house.sessions)
        assert not any(sent.event.get("status") == "ended" for sent in house.gateway.messages(ClientEventSent))
        assert await record_of(broker), "it can be resumed"
        assert not house.pipeline.messages(SessionClosed)
        async with Caller(exchange=offering(house, resume_of(house, generation=3))):
            await house.pipeline.message(MediaAttached, generation=3)


@pytest.mark.parametrize("cut", [False, True])
async def test_a_reloaded_page_whose_first_attempt_failed_had_lost_its_session(
    broker_url: str, broker: Redis, cut: bool
) -> None:
    """Its peer connection was not set up in time, or its WebSocket was cut before that."""
    async with running_media_worker(broker_url, media_check_timeout_s=2.0 if cut else 0.3) as house, calling(house):
        await recorded(broker, lambda record: record.get("pipeline_worker"))
        house.gateway.received.clear()
        assert isinstance(await house.gateway.offer("s1", CHROMIUM, resume_of(house)), OfferAnswered)
        if cut:
            await house.gateway.send(GatewayDetached(session="s1", gateway=house.gateway.id))
        await eventually(lambda: not house.sessions)
        assert not house.pipeline.messages(SessionClosed)
        async with Caller(exchange=offering(house, resume_of(house))):
            await house.pipeline.message(MediaAttached, generation=2)
            assert len(house.pipeline.jobs) == 1


async def test_a_session_that_has_said_goodbye_is_not_taken_up_again(house: RunningMediaWorker) -> None:
    """It had no agent, and held a slot for as long as its client sent packets."""
    async with calling(house):
        pass
    await eventually(lambda: not house.sessions)
    house.gateway.received.clear()
    reply = await house.gateway.offer("s1", CHROMIUM, resume_of(house))
    assert isinstance(reply, OfferRefused)
    assert reply.code == "resume_refused"


async def test_a_session_that_ended_just_before_it_moved_ends_at_its_new_place(broker_url: str) -> None:
    async with running_media_worker(broker_url) as old, running_media_worker(broker_url, claims=False) as new:
        async with calling(old):
            pass
        await eventually(lambda: not old.sessions)
        with contextlib.suppress(NotConnected):
            async with Caller(exchange=offering(new, resume_of(old))):
                await new.gateway.message(SessionClosed)
        assert (await new.gateway.message(SessionClosed)).reason == "hangup"
        await eventually(lambda: not new.sessions)


async def test_a_caller_whose_agent_has_stopped_waiting_for_them_gets_another_one(house: RunningMediaWorker) -> None:
    """They heard silence until they hung up, because that pipeline worker was alive and served others."""
    async with calling(house):
        house.pipeline.received.clear()
        await house.pipeline.send(SessionClosed(session="s1", reason="session_gone"))
        await house.pipeline.message(CallerConnected)
        assert [(job.epoch, job.resumed) for job in house.pipeline.jobs] == [(1, False), (2, True)]


async def test_a_session_that_no_agent_ends_has_a_longest_duration(
    house: RunningMediaWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_worker.core.lifetime.FAREWELL_S", -3_599.0)
    async with calling(house):
        assert (await house.gateway.message(SessionClosed)).reason == "max_duration"


async def test_a_new_session_lasts_although_the_clock_of_its_gateway_is_behind(house: RunningMediaWorker) -> None:
    """It ended at once."""

    async def exchange(sdp: str) -> str:
        opening = OpenSession(session="s1", gateway=house.gateway.id, agent_id="echo", sdp=sdp, created_ms=1)
        await house.gateway.send(opening)
        reply = await house.gateway.reply("s1")
        assert isinstance(reply, OfferAnswered)
        return reply.sdp

    async with Caller(exchange=exchange):
        await house.pipeline.message(CallerConnected)
        await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
        assert house.gateway.messages(SessionClosed) == []


async def test_an_offer_of_an_earlier_generation_changes_nothing(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        opening = OpenSession(
            session="s1",
            gateway=house.gateway.id,
            agent_id="echo",
            sdp=CHROMIUM,
            resume=resume_of(house, generation=1),
        )
        await house.gateway.send(opening)
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
        assert call.session.generation == 1


async def test_a_draining_worker_asks_clients_to_move_and_ends_only_those_who_stay(
    broker_url: str, broker: Redis
) -> None:
    async with (
        running_media_worker(broker_url, drain_timeout_s=3) as house,
        calling(house, "s1") as staying,
        calling(house, "s2") as leaving,
    ):
        house.stop.set()
        for call in (staying, leaving):
            await call.caller.wait_for(lambda call=call: any(map(is_goaway, call.caller.channel_events)))  # type: ignore[misc]
        (goaway,) = filter(is_goaway, staying.caller.channel_events)
        assert (goaway["timeLeftMs"], goaway["scope"], goaway["reason"]) == (3_000, "media", "draining")
        assert isinstance(await house.gateway.offer("s3", CHROMIUM), OfferRefused)
        await house.gateway.send(CloseSession(session="s2", reason="moved"))
        await eventually(lambda: list(house.sessions) == ["s1"])
        await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, session="s1", state="finished")
        assert await staying.closed() == "worker_stopped"
        assert (await leaving.closed()) == "moved"


async def test_a_client_whose_websocket_moves_while_the_worker_drains_is_asked_to_move_too(
    broker_url: str, broker: Redis
) -> None:
    async with (
        running_media_worker(broker_url, drain_timeout_s=5) as house,
        GatewayStandIn(broker_url, house.worker.id, new_worker_id("g", "other")) as other,
        calling(house) as call,
    ):
        await house.gateway.send(GatewayDetached(session="s1", gateway=house.gateway.id))
        await recorded(broker, lambda record: record.get("gateway") == "")
        house.stop.set()
        await call.caller.wait_for(lambda: any(map(is_goaway, call.caller.channel_events)))
        await other.send(GatewayAttached(session="s1", gateway=other.id))
        sent = await other.message(ClientEventSent, session="s1")
        assert is_goaway(sent.event)
        assert 0 < sent.event["timeLeftMs"] <= 5_000


def is_goaway(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "goaway")


# -- gateways ---------------------------------------------------------------------------------------------------------


async def test_a_lost_websocket_does_not_end_the_call_and_the_next_one_gets_the_events(
    broker_url: str, broker: Redis
) -> None:
    async with (
        running_media_worker(broker_url) as house,
        GatewayStandIn(broker_url, house.worker.id, new_worker_id("g", "other")) as other,
        calling(house) as call,
    ):
        await house.gateway.send(GatewayDetached(session="s1", gateway=house.gateway.id))
        await recorded(broker, lambda record: record.get("gateway") == "")
        await house.pipeline.send(PublishEvent(session="s1", epoch=1, type="transcript", fields={"text": "meanwhile"}))
        await call.caller.wait_for(lambda: any(e.get("text") == "meanwhile" for e in call.caller.channel_events))
        await other.send(GatewayAttached(session="s1", gateway=other.id))
        await recorded(broker, lambda record: record["gateway"] == other.id)
        assert [event.get("text") for event, _ in await stored_events(broker)] == ["meanwhile"]
        await other.send(GatewayDetached(session="s1", gateway=house.gateway.id))
        await house.pipeline.send(PublishEvent(session="s1", epoch=1, type="transcript", fields={"text": "later"}))
        await other.until(lambda: any(m.event.get("text") == "later" for m in other.messages(ClientEventSent)))
        await call.caller.__aexit__()
        assert (await other.message(SessionClosed)).reason == "hangup"


async def test_a_websocket_that_is_lost_before_the_caller_is_connected_ends_the_session(
    house: RunningMediaWorker,
) -> None:
    assert isinstance(await house.gateway.offer("s1", CHROMIUM), OfferAnswered)
    await house.gateway.send(GatewayDetached(session="s1", gateway=house.gateway.id))
    await eventually(lambda: not house.sessions)


async def test_correspondents_hear_of_the_media_worker_all_the_time(house: RunningMediaWorker) -> None:
    async with calling(house):
        pipeline, gateway = house.pipeline, house.gateway
        for each in (pipeline, gateway):
            began = each.batches
            await eventually(lambda each=each, began=began: each.batches > began + 3)  # type: ignore[misc]
