import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from typing import cast

import pytest
from structlog.testing import capture_logs

from shared.events import Message, PublishEvent, SessionClosed
from shared.frames import AudioFrame, SilenceRun
from shared.io.broker import BROKER_FAILURES, Redis, connect
from shared.io.inbox import PAYLOAD
from shared.io.outbox import Outbox
from shared.wire import Batch, Item, decode_batch
from tests.fakes.counters import Gained
from tests.fakes.flaky_broker import FlakyBroker
from tests.fakes.streams_in_memory import StreamsInMemory
from tests.fakes.virtual_time import in_virtual_time

INBOX = "antiphon:m:there:in"
DEADLINE_S = 30


def frame(seq: int) -> AudioFrame:
    return AudioFrame("s", 1, seq, seq * 320, 16_000, 1, bytes(640))


def message(reason: str) -> Message:
    return SessionClosed(session="s", reason=reason)


async def batches(broker: Redis, inbox: str = INBOX) -> list[Batch]:
    entries = cast(list[tuple[bytes, dict[bytes, bytes]]], await broker.xrange(inbox))
    return [decode_batch(fields[PAYLOAD]) for _, fields in entries]


async def written(broker: Redis, inbox: str = INBOX) -> list[Item]:
    return [item for batch in await batches(broker, inbox) for item in batch.items]


def drops(what: str) -> Gained:
    return Gained("antiphon_outbox_dropped_total", what=what)


@pytest.fixture
async def flaky(broker_url: str) -> AsyncIterator[FlakyBroker]:
    async with FlakyBroker(broker_url).running() as proxy:
        yield proxy


@pytest.fixture
async def through_flaky(flaky: FlakyBroker) -> AsyncIterator[Redis]:
    client = connect(flaky.url)
    yield client
    await client.aclose()


async def test_queued_items_are_one_entry_per_destination_in_order(broker: Redis) -> None:
    outbox = Outbox(broker, "me")
    sent: list[Item] = [frame(0), SilenceRun("s", 1, 1, 320, 16_000, 640), message("a"), frame(2)]
    for item in sent:
        outbox.send(INBOX, item)
    outbox.send("antiphon:m:elsewhere:in", message("b"))
    await outbox.flush()
    (batch,) = await batches(broker)
    assert (batch.sender, batch.items) == ("me", sent)
    assert await written(broker, "antiphon:m:elsewhere:in") == [message("b")]


async def test_nothing_queued_writes_nothing(broker: Redis) -> None:
    await Outbox(broker, "me").flush()
    assert await broker.dbsize() == 0


async def test_batch_numbers_grow_for_each_destination(broker: Redis) -> None:
    outbox = Outbox(broker, "me")
    for seq in range(5):
        outbox.send(INBOX, frame(seq))
        outbox.send("antiphon:m:elsewhere:in", frame(seq))
        await outbox.flush()
    numbers = [batch.number for batch in await batches(broker)]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 0


async def test_each_batch_names_the_one_before_it_for_the_same_reader(broker: Redis) -> None:
    outbox = Outbox(broker, "me")
    for seq in range(3):
        outbox.send(INBOX, frame(seq))
        outbox.send("antiphon:m:elsewhere:in", frame(seq))
        await outbox.flush()
    first, second, third = await batches(broker)
    assert (first.previous, second.previous, third.previous) == (0, first.number, second.number)


async def test_a_touch_is_an_empty_batch_unless_there_is_something_to_write(broker: Redis) -> None:
    outbox = Outbox(broker, "me")
    outbox.touch(INBOX)
    await outbox.flush()
    outbox.touch(INBOX)
    outbox.send(INBOX, frame(0))
    outbox.touch(INBOX)
    await outbox.flush()
    assert [batch.items for batch in await batches(broker)] == [[], [frame(0)]]


async def test_a_write_whose_reply_was_lost_is_retried_under_the_same_number(
    broker: Redis, flaky: FlakyBroker, through_flaky: Redis
) -> None:
    outbox = Outbox(through_flaky, "me")
    outbox.send(INBOX, frame(0))
    await outbox.flush()
    flaky.becomes("loses replies")
    outbox.send(INBOX, frame(1))
    with pytest.raises(BROKER_FAILURES):
        await outbox.flush()
    outbox.send(INBOX, frame(2))
    flaky.becomes("works")
    await outbox.flush()
    await outbox.flush()
    seen = await batches(broker)
    assert [batch.items for batch in seen] == [[frame(0)], [frame(1)], [frame(1)], [frame(2)]]
    assert seen[1].number == seen[2].number < seen[3].number


async def test_run_continues_when_the_broker_is_back(broker: Redis, flaky: FlakyBroker, through_flaky: Redis) -> None:
    outbox = Outbox(through_flaky, "me", slot_ms=1)
    flaky.becomes("is away")
    writer = asyncio.create_task(outbox.run())
    outbox.send(INBOX, frame(0))
    async with asyncio.timeout(DEADLINE_S):
        await flaky.refused.wait()
        outbox.send(INBOX, frame(1))
        flaky.becomes("works")
        while await written(broker) != [frame(0), frame(1)]:  # noqa: ASYNC110 - the broker has no event
            await asyncio.sleep(0.01)
    writer.cancel()
    await asyncio.wait({writer})


async def test_while_the_broker_is_away_the_newest_audio_is_kept_and_the_rest_counted(broker: Redis) -> None:
    outbox = Outbox(broker, "me", max_frames=3)
    dropped = drops("frame")
    outbox.send(INBOX, message("a"))
    for seq in range(10):
        outbox.send(INBOX, frame(seq))
    outbox.send(INBOX, message("b"))
    await outbox.flush()
    assert await written(broker) == [message("a"), frame(7), frame(8), frame(9), message("b")]
    assert dropped() == 7


async def test_messages_have_a_bound_of_their_own_and_cost_no_audio(broker: Redis) -> None:
    outbox = Outbox(broker, "me", max_messages=2)
    dropped = drops("message")
    outbox.send(INBOX, frame(0))
    for reason in "abcd":
        outbox.send(INBOX, message(reason))
    await outbox.flush()
    assert await written(broker) == [frame(0), message("c"), message("d")]
    assert dropped() == 2


async def test_an_outage_with_many_messages_waiting_does_not_make_the_callers_audio_late(broker: Redis) -> None:
    """Each frame past the bound looked at every message before it: 68 us for a thousand, 7,500 times a second."""

    def seconds_per_50_frames(messages: int) -> float:
        outbox = Outbox(broker, "me", max_frames=100, max_messages=messages)
        for number in range(messages):
            outbox.send(INBOX, message(str(number)))
        took: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            for seq in range(50):
                outbox.send(INBOX, frame(seq))
            took.append(time.perf_counter() - began)
        return min(took[5:])  # past the bound

    assert seconds_per_50_frames(messages=10_000) < 20 * seconds_per_50_frames(messages=1)


@contextlib.asynccontextmanager
async def writing(outbox: Outbox) -> AsyncIterator[None]:
    writer = asyncio.create_task(outbox.run())
    yield
    writer.cancel()
    await asyncio.wait({writer})


@in_virtual_time
async def test_after_two_minutes_without_broker_the_agent_hears_the_callers_last_two_seconds() -> None:
    streams = StreamsInMemory()
    outbox = Outbox(cast(Redis, streams), "me")
    dropped = drops("frame")
    streams.mood = "is away"
    async with writing(outbox):
        for seq in range(6_000):
            outbox.send(INBOX, frame(seq))
            if seq % 1_000 == 0:
                outbox.send(INBOX, message(str(seq)))
            await asyncio.sleep(0.02)
        streams.mood = "works"
        await asyncio.sleep(1)
    items = [item for batch in streams.batches for item in batch.items]
    messages = [item for item in items if isinstance(item, Message)]
    frames = [item.seq for item in items if isinstance(item, AudioFrame)]
    assert messages == [message(str(seq)) for seq in range(0, 6_000, 1_000)]
    assert frames == list(range(6_000 - len(frames), 6_000))
    assert 90 <= len(frames) <= 110
    assert dropped() == 6_000 - len(frames)


@in_virtual_time
async def test_a_batch_that_is_repeated_too_late_keeps_its_number_and_its_messages() -> None:
    streams = StreamsInMemory()
    outbox = Outbox(cast(Redis, streams), "me")
    dropped = drops("frame")
    outbox.send(INBOX, frame(0))
    outbox.send(INBOX, message("a"))
    streams.mood = "loses replies"
    for pause_s in (1.0, 1.5, 1.5):
        with pytest.raises(ConnectionError):
            await outbox.flush()
        await asyncio.sleep(pause_s)
    streams.mood = "works"
    await outbox.flush()
    await outbox.flush()
    whole, late = [frame(0), message("a")], [message("a")]
    assert [batch.items for batch in streams.batches] == [whole, whole, late, late]
    assert len({batch.number for batch in streams.batches}) == 1
    assert dropped() == 1


@in_virtual_time
async def test_an_agents_speech_never_becomes_too_old() -> None:
    streams = StreamsInMemory()
    outbox = Outbox(cast(Redis, streams), "me", max_frame_age_s=math.inf)
    for seq in range(20):
        outbox.send(INBOX, frame(seq))
    await asyncio.sleep(60)
    await outbox.flush()
    (batch,) = streams.batches
    assert batch.items == [frame(seq) for seq in range(20)]


async def test_the_last_message_is_sent_even_if_the_broker_was_slow_at_stop(
    broker: Redis, flaky: FlakyBroker, through_flaky: Redis
) -> None:
    """Only the batch in flight was written again, not the messages after it."""
    outbox = Outbox(through_flaky, "me", slot_ms=1)
    flaky.becomes("is away")
    async with writing(outbox), asyncio.timeout(DEADLINE_S):
        outbox.send(INBOX, message("first"))
        await flaky.refused.wait()
        outbox.send(INBOX, message("last"))
    flaky.becomes("works")
    await outbox.close()
    assert await written(broker) == [message("first"), message("last")]


async def test_closing_an_empty_outbox_sends_no_command(broker: Redis) -> None:
    await Outbox(broker, "me").close()
    assert await broker.dbsize() == 0


@in_virtual_time
async def test_closing_retries_until_its_deadline_and_logs_the_lost_inboxes() -> None:
    streams = StreamsInMemory()
    outbox = Outbox(cast(Redis, streams), "me")
    outbox.send(INBOX, message("last"))
    streams.mood = "is away"
    with capture_logs() as logs:
        await outbox.close(timeout_s=3)
    assert asyncio.get_running_loop().time() == pytest.approx(3)
    assert [(line["event"], line["inboxes"]) for line in logs] == [("last_messages_lost", [INBOX])]


async def test_one_destination_that_cannot_be_written_does_not_hold_up_the_others(broker: Redis) -> None:
    await broker.set(INBOX, "no stream")
    outbox = Outbox(broker, "me")
    for _ in range(2):
        outbox.send(INBOX, frame(0))
        outbox.send("antiphon:m:elsewhere:in", frame(1))
        with pytest.raises(BROKER_FAILURES, match="WRONGTYPE"):
            await outbox.flush()
    assert await written(broker, "antiphon:m:elsewhere:in") == [frame(1), frame(1)]
    await broker.delete(INBOX)
    await outbox.flush()
    await outbox.flush()
    assert await written(broker) == [frame(0), frame(0)]


async def test_the_inboxes_of_dead_processes_expire(broker: Redis) -> None:
    """Sixty seconds after its owner's death an inbox expired, and the next write made one that never would."""
    outbox = Outbox(broker, "me")
    outbox.send(INBOX, frame(0))
    await outbox.flush()
    assert 0 < await broker.ttl(INBOX) <= 60
    outbox.send("antiphon:m:elsewhere:in", frame(0))
    await outbox.flush()
    assert 0 < await broker.ttl("antiphon:m:elsewhere:in") <= 60


async def test_writing_renews_the_expiry_of_an_inbox(broker: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.io.outbox._RENEW_S", 0.0)
    outbox = Outbox(broker, "me")
    for _ in range(2):
        outbox.send(INBOX, frame(0))
        await outbox.flush()
        assert await broker.ttl(INBOX) > 10
        await broker.expire(INBOX, 10)


async def test_the_expiry_is_not_written_with_each_batch(broker: Redis) -> None:
    outbox = Outbox(broker, "me")
    await broker.config_resetstat()
    for seq in range(20):
        outbox.send(INBOX, frame(seq))
        await outbox.flush()
    calls = await broker.info("commandstats")
    assert calls["cmdstat_xadd"]["calls"] == 20
    assert calls["cmdstat_expire"]["calls"] <= 5


async def test_inboxes_expire_on_a_broker_that_came_back_empty(
    broker: Redis, flaky: FlakyBroker, through_flaky: Redis
) -> None:
    outbox = Outbox(through_flaky, "me")
    outbox.send(INBOX, frame(0))
    await outbox.flush()
    flaky.becomes("is away")
    outbox.send(INBOX, frame(1))
    with pytest.raises(BROKER_FAILURES):
        await outbox.flush()
    await broker.flushall()
    flaky.becomes("works")
    await outbox.flush()
    assert 0 < await broker.ttl(INBOX) <= 60


async def test_an_unread_inbox_stays_bounded(broker: Redis) -> None:
    outbox = Outbox(broker, "me")
    for seq in range(2_300):
        outbox.send(INBOX, frame(seq))
        await outbox.flush()
    assert await broker.xlen(INBOX) < 2_300


async def test_an_item_that_cannot_be_encoded_is_counted_and_the_rest_is_sent(broker: Redis) -> None:
    dropped = drops("unencodable")
    nested: dict[str, object] = {}
    for _ in range(2_000):
        nested = {"in": nested}
    outbox = Outbox(broker, "me")
    for item in (frame(0), PublishEvent(session="s", epoch=1, type="tool-call", fields=nested), message("a")):
        outbox.send(INBOX, item)
    await outbox.flush()
    assert await written(broker) == [frame(0), message("a")]
    assert dropped() == 1
