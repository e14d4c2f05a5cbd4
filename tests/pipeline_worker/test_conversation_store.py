import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.turns.conversation import MAX_ENTRIES, ToolCall, ToolUse, Utterance
from shared import keys
from shared.io.broker import Redis, connect

KEY = keys.conversation("s1")


@asynccontextmanager
async def running(store: ConversationStore) -> AsyncIterator[None]:
    task = asyncio.create_task(store.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def stored(broker: Redis) -> list[dict[str, Any]]:
    if await broker.type(KEY) != b"list":
        return []
    return [json.loads(entry) for entry in await broker.lrange(KEY, 0, -1)]


async def until_stored(broker: Redis, *texts: str) -> None:
    async with asyncio.timeout(5):
        while [entry["text"] for entry in await stored(broker)] != list(texts):  # noqa: ASYNC110 (Redis has no event)
            await asyncio.sleep(0.005)


async def test_utterances_are_appended_and_expire(broker: Redis) -> None:
    store = ConversationStore(broker, "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("user", "wie geht’s"))
        await until_stored(broker, "wie geht’s")
        store.add(Utterance("agent", "Gut.", interrupted=True))
        await until_stored(broker, "wie geht’s", "Gut.")
    assert (await stored(broker))[1] == {"role": "agent", "text": "Gut.", "interrupted": True}
    assert 0 < await broker.ttl(KEY) <= 100


async def test_a_tool_call_is_kept_with_its_result(broker: Redis) -> None:
    store = ConversationStore(broker, "s1", expiry_s=100)
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


async def test_without_retention_nothing_stays_whatever_was_being_written(broker: Redis) -> None:
    for _ in range(20):
        store = ConversationStore(broker, "s1", expiry_s=100)
        async with running(store):
            store.add(Utterance("user", "one"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await store.close(retention_s=0)
        assert await broker.keys("*") == []


async def test_with_retention_the_last_words_are_kept_too(broker: Redis) -> None:
    store = ConversationStore(broker, "s1", expiry_s=100)
    store.add(Utterance("user", "goodbye"))
    await store.close(retention_s=1000)
    await until_stored(broker, "goodbye")
    assert 100 < await broker.ttl(KEY) <= 1000


async def test_a_silent_session_leaves_nothing(broker: Redis) -> None:
    await ConversationStore(broker, "s1", expiry_s=100).close(retention_s=1000)
    assert await broker.keys("*") == []


async def test_it_is_bounded(broker: Redis) -> None:
    store = ConversationStore(broker, "s1", expiry_s=100)
    for number in range(MAX_ENTRIES + 5):
        store.add(Utterance("user", str(number)))
    await store.close(retention_s=10)
    assert [entry["text"] for entry in await stored(broker)] == [str(n) for n in range(5, MAX_ENTRIES + 5)]


async def test_after_a_write_of_unknown_outcome_nothing_is_there_twice(broker: Redis) -> None:
    store = ConversationStore(broker, "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("user", "one"))
        await until_stored(broker, "one")
        # The write fails, as one whose answer was lost does.
        await broker.set(KEY, "not a list")
        store.add(Utterance("agent", "two"))
        await until_stored(broker, "one", "two")


async def test_a_broker_that_is_away_ends_nothing() -> None:
    nobody = connect("redis://127.0.0.1:1/0")
    store = ConversationStore(nobody, "s1", expiry_s=100)
    async with running(store):
        store.add(Utterance("user", "one"))
        await asyncio.sleep(0)
    await store.close(retention_s=10)
    await store.close(retention_s=0)
    await nobody.aclose()
