import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.script_batch import ScriptBatch
from pipeline_worker.turns.conversation import MAX_CHARACTERS, MAX_ENTRIES, ToolCall, ToolUse, Utterance
from shared import keys
from shared.io.broker import Redis, connect
from tests.fakes.flaky_broker import FlakyBroker

KEY = keys.conversation("s1")


@asynccontextmanager
async def running(store: ConversationStore) -> AsyncIterator[None]:
    task = asyncio.create_task(store.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


class HeldWrites:
    """A broker whose transactions begin, but are sent only after `may_go`."""

    def __init__(self, broker: Redis) -> None:
        self._broker = broker
        self.begun, self.may_go = asyncio.Event(), asyncio.Event()

    def pipeline(self, transaction: bool) -> Any:
        pipeline = self._broker.pipeline(transaction=transaction)
        execute = pipeline.execute

        async def held(**options: Any) -> Any:
            self.begun.set()
            await self.may_go.wait()
            return await execute(**options)

        pipeline.execute = held  # type: ignore[method-assign, assignment]
        return pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


async def closing_during_a_write(broker: Redis, retention_s: int) -> None:
    """`close` is called while the first words are being written. It must wait for the write."""
    held = HeldWrites(broker)
    store = ConversationStore(ScriptBatch(cast(Redis, held)), "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("user", "one"))
        await held.begun.wait()
    closing = asyncio.create_task(store.close(retention_s))
    assert await asyncio.wait({closing}, timeout=0.2) == (set(), {closing})
    assert await stored(broker) == []
    held.may_go.set()
    async with asyncio.timeout(5):
        await closing


async def stored(broker: Redis) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in await broker.lrange(KEY, 0, -1)]


async def until_stored(broker: Redis, *texts: str) -> None:
    async with asyncio.timeout(5):
        while [entry["text"] for entry in await stored(broker)] != list(texts):  # noqa: ASYNC110 (Redis has no event)
            await asyncio.sleep(0.005)


async def test_utterances_are_appended_and_expire(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("user", "wie geht’s"))
        await until_stored(broker, "wie geht’s")
        store.add(Utterance("agent", "Gut.", interrupted=True))
        await until_stored(broker, "wie geht’s", "Gut.")
    assert (await stored(broker))[1] == {"role": "agent", "text": "Gut.", "interrupted": True}
    assert 0 < await broker.ttl(KEY) <= 100


async def test_the_time_to_expiry_begins_again_with_each_entry(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("user", "one"))
        await until_stored(broker, "one")
        await broker.expire(KEY, 5)
        store.add(Utterance("user", "two"))
        await until_stored(broker, "one", "two")
    assert await broker.ttl(KEY) > 5


async def test_a_tool_call_is_kept_with_its_result(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    store.add(Utterance("user", "book a table"))
    store.add(ToolUse(ToolCall("call-1", "book", '{"people": 2}'), "booked"))
    await store.close(retention_s=10)
    assert (await stored(broker))[1] == {
        "role": "tool",
        "id": "call-1",
        "name": "book",
        "arguments": '{"people": 2}',
        "result": "booked",
    }


async def test_without_retention_what_was_stored_is_deleted(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("user", "one"))
        await until_stored(broker, "one")
    store.add(Utterance("agent", "not yet written"))
    await store.close(retention_s=0)
    assert await broker.keys("*") == []


async def test_without_retention_words_that_were_being_written_do_not_stay(broker: Redis) -> None:
    await closing_during_a_write(broker, retention_s=0)
    assert await broker.keys("*") == []


async def test_with_retention_words_that_were_being_written_are_there_once(broker: Redis) -> None:
    await closing_during_a_write(broker, retention_s=1000)
    assert [entry["text"] for entry in await stored(broker)] == ["one"]


async def test_with_retention_the_last_words_are_kept_too(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    store.add(Utterance("user", "goodbye"))
    await store.close(retention_s=1000)
    assert [entry["text"] for entry in await stored(broker)] == ["goodbye"]
    assert 100 < await broker.ttl(KEY) <= 1000


async def test_a_silent_session_leaves_nothing(broker: Redis) -> None:
    await ConversationStore(ScriptBatch(broker), "s1", expiry_s=100).close(retention_s=1000)
    assert await broker.keys("*") == []


async def test_it_keeps_the_newest_entries(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    for number in range(MAX_ENTRIES + 5):
        store.add(Utterance("user", str(number)))
    async with running(store):
        await until_stored(broker, *map(str, range(5, MAX_ENTRIES + 5)))
        store.add(Utterance("user", "later"))  # the list in Redis is full
        await until_stored(broker, *map(str, range(6, MAX_ENTRIES + 5)), "later")


async def test_long_entries_are_stored_up_to_a_number_of_characters(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    texts = [letter * (MAX_CHARACTERS // 4) for letter in "abcdef"]
    async with running(store):
        for text in texts:
            store.add(Utterance("user", text))
        await until_stored(broker, *texts[2:])


async def test_half_a_character_of_a_vendor_does_not_stop_the_writing(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("agent", "\ud83d"))
        store.add(Utterance("agent", "two"))
        await until_stored(broker, "?", "two")


async def test_after_a_write_whose_answer_was_lost_nothing_is_there_twice(broker_url: str, broker: Redis) -> None:
    async with FlakyBroker(broker_url).running() as flaky:
        client = connect(flaky.url)
        store = ConversationStore(ScriptBatch(client), "s1", expiry_s=100)
        async with running(store):
            store.add(Utterance("user", "one"))
            await until_stored(broker, "one")
            flaky.becomes("loses replies")
            store.add(Utterance("agent", "two"))
            await until_stored(broker, "one", "two")
            store.add(Utterance("user", "three"))
            flaky.becomes("works")
            await until_stored(broker, "one", "two", "three")
        await store.close(retention_s=10)
        await client.aclose()
    assert [entry["text"] for entry in await stored(broker)] == ["one", "two", "three"]


async def test_words_said_while_the_broker_was_away_are_stored_when_it_is_back(broker_url: str, broker: Redis) -> None:
    async with FlakyBroker(broker_url).running() as flaky:
        client = connect(flaky.url)
        store = ConversationStore(ScriptBatch(client), "s1", expiry_s=100)
        async with running(store):
            flaky.becomes("is away")
            store.add(Utterance("user", "one"))
            store.add(Utterance("agent", "two"))
            await flaky.refused.wait()
            assert await stored(broker) == []
            flaky.becomes("works")
            await until_stored(broker, "one", "two")
        await client.aclose()


async def test_a_broker_that_is_away_does_not_keep_a_session_from_ending() -> None:
    nobody = connect("redis://127.0.0.1:1/0")
    store = ConversationStore(ScriptBatch(nobody), "s1", expiry_s=100)
    store.add(Utterance("user", "one"))
    async with asyncio.timeout(5):
        await store.close(retention_s=10)
        await store.close(retention_s=0)
    await nobody.aclose()


async def test_what_was_said_outlives_its_workers_by_a_moment_only_and_a_silent_session_as_long_as_it_lasts(
    broker: Redis,
) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=2)
    async with running(store):
        store.add(Utterance("user", "one"))
        assert await store.saved(within_s=5)
        left_ms = await broker.pttl(KEY)
        assert left_ms <= 2_000
        async with asyncio.timeout(5):
            while (now_ms := await broker.pttl(KEY)) <= left_ms:
                left_ms = now_ms
                await asyncio.sleep(0.01)
