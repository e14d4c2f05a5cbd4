"""What a session keeps in Redis, and what an offer without a caller costs."""

import asyncio

from shared import keys
from shared.events import (
    GatewayAttached,
    OfferAnswered,
    PublishEvent,
    SessionClosed,
)
from shared.io.broker import Redis
from tests.fakes.media_correspondents import (
    PATIENCE_S,
    running_media_worker,
)
from tests.fakes.patience import eventually
from tests.media_worker.calls import calling
from tests.media_worker.core.test_sdp_offer import CHROMIUM
from tests.media_worker.moving_sessions import recorded, stored_events

_RENEWED_S = 12.0
"""By then a record was renewed after the first RTCP report."""


async def test_the_record_says_what_another_media_worker_needs(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as house, calling(house):
        record = await recorded(broker, lambda record: record.get("pipeline_worker"))
        created_ms = record.pop("created_ms")
        assert int(created_ms) > 0
        assert record == {
            "agent": "echo",
            "pool": "default",
            "media_worker": house.worker.id,
            "generation": "1",
            "gateway": house.gateway.id,
            "pipeline_worker": house.pipeline.id,
            "epoch": "1",
            "max_duration_s": "3600",
            "resume_tokens": "",
            "api_key": "",
            "counted_in": "",
            "traceparent": "",
            "state": "running",
        }
        assert 50 < await broker.ttl(keys.session("s1")) <= 60
        house.gateway.received.clear()
        attached = GatewayAttached(session="s1", gateway="g-other", resume_tokens=("new", "old"))
        await house.gateway.send(attached)
        record = await recorded(broker, lambda record: record["gateway"] == "g-other")
        assert record["resume_tokens"] == "new,old"


async def test_the_record_says_how_the_call_is(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as house, calling(house):
        for number, fields in enumerate(({"turn": 1}, {"turn": 2, "firstAudioMs": 840}, {"turn": 3}), 1):
            event = PublishEvent(session="s1", epoch=1, type="metrics", fields=fields, number=number)
            await house.pipeline.send(event)
        figures = {"answer_ms", "loss_percent"}
        record = await recorded(broker, lambda record: figures <= record.keys(), timeout_s=_RENEWED_S)
        assert record["answer_ms"] == "840", "the last turn was no answer"
        assert 0 <= float(record["loss_percent"]) < 5


async def test_a_broker_that_comes_back_empty_gets_the_record_again(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as house, calling(house):
        before = await recorded(broker, lambda record: record.get("pipeline_worker"))
        await broker.flushall()
        assert await recorded(broker, bool) == before


async def test_final_events_are_kept_for_a_client_that_comes_back(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as house, calling(house):
        for number, event_type in enumerate(("status", "transcript-partial", "transcript", "metrics"), 1):
            fields = {"text": f"word {number}"}
            await house.pipeline.send(
                PublishEvent(session="s1", epoch=1, type=event_type, fields=fields, number=number)
            )
        async with asyncio.timeout(PATIENCE_S):
            while len(events := await stored_events(broker)) < 2:  # noqa: ASYNC110 - a key has no event
                await asyncio.sleep(0.02)
        assert [(event["type"], event["text"], number) for event, number in events] == [
            ("status", "word 1", 1),
            ("transcript", "word 3", 3),
        ]
        assert [event["seq"] for event, _ in events] == [1_000, 3_000]
        assert 0 < await broker.ttl(keys.events("s1")) <= 60


async def test_an_ended_session_leaves_no_keys(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url) as house:
        async with calling(house):
            await recorded(broker, bool)
        await house.gateway.message(SessionClosed)
        await recorded(broker, lambda record: not record)
        assert await broker.keys("antiphon:s:*") == []


async def test_twenty_silent_offers_take_no_pipeline_slots_and_are_gone_soon(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url, media_check_timeout_s=0.3) as house:
        for n in range(20):
            assert isinstance(await house.gateway.offer(f"s{n}", CHROMIUM), OfferAnswered)
        assert await broker.keys("antiphon:jobs:*") == []
        assert await broker.keys("*reserved:pipeline*") == []
        await eventually(lambda: not house.sessions)
        await house.gateway.until(lambda: len(house.gateway.messages(SessionClosed)) == 20)
        assert {closed.reason for closed in house.gateway.messages(SessionClosed)} == {"connect_timeout"}
        assert house.pipeline.jobs == []
        assert await broker.keys("antiphon:s:*") == []
