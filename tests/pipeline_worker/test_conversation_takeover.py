"""Two workers and one stored session: what the later one finds, and that the earlier one changes nothing."""

import asyncio

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.script_batch import ScriptBatch
from pipeline_worker.turns.conversation import Entry, ToolCall, ToolUse, Utterance
from pipeline_worker.turns.memory import Memory, Past, SentenceMemory, TurnMemory
from pipeline_worker.turns.state import AgentTurn
from shared import keys
from shared.io.broker import Redis
from tests.pipeline_worker.test_conversation_store import running, stored

HELLO = Utterance("agent", "Hello.")
BOOK = ToolCall("1", "book", "{}")
REMEMBERED = Memory(
    epoch=1,
    uplink=16_000,
    published=7,
    prompts_said=1,
    tools=(BOOK,),
    agent=AgentTurn(said_over=("yes",), end_reason="user_idle"),
    turn=TurnMemory(
        sample_rate=24_000,
        language="en",
        before="We",
        sentences=(SentenceMemory("open at ten.", 480, 960, (("open", 240),), whole=True),),
        waiting="Bye.",
    ),
)


class Worker:
    """A store, and whether it knows that it was replaced."""

    def __init__(self, broker: Redis, epoch: int, memory: Memory | None = None) -> None:
        self.store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100, epoch=epoch)
        self.replaced = asyncio.Event()
        self.store.watch(lambda: memory or Memory(epoch=epoch), self.replaced.set)

    async def save(self, *entries: Entry) -> None:
        async with running(self.store):
            for entry in entries:
                self.store.add(entry)
            self.store.change()
            assert await self.store.saved(5)


async def until(reached: asyncio.Event) -> None:
    await asyncio.wait_for(reached.wait(), 5)


async def test_the_next_worker_finds_the_conversation_and_the_turn(broker: Redis) -> None:
    entries = (HELLO, Utterance("user", "a table", interrupted=True), ToolUse(BOOK, "booked"))
    await Worker(broker, 1, REMEMBERED).save(*entries)
    assert await Worker(broker, 2).store.claim() == Past(entries, REMEMBERED)


async def test_a_turn_whose_workers_have_all_died_does_not_stay_for_ever(broker: Redis) -> None:
    await Worker(broker, 1, REMEMBERED).save(HELLO)
    assert 0 < await broker.ttl(keys.turn("s1")) <= 100
    await broker.expire(keys.turn("s1"), 5)
    await Worker(broker, 2).store.claim()
    assert 5 < await broker.ttl(keys.turn("s1")) <= 100


async def test_where_nothing_was_stored_there_is_nothing_to_continue(broker: Redis) -> None:
    assert await Worker(broker, 2).store.claim() == Past((), Memory(epoch=0))


async def test_what_cannot_be_read_is_left_out(broker: Redis) -> None:
    await Worker(broker, 1).save(HELLO)
    await broker.rpush(keys.conversation("s1"), b"{}", b"nonsense", b'{"role": "tool"}')
    await broker.set(keys.turn("s1"), '{"epoch": 1, "uplink": "far"}')
    assert await Worker(broker, 2).store.claim() == Past((HELLO,), Memory(epoch=0))


async def test_a_worker_that_wakes_up_after_its_session_was_taken_over_changes_nothing(broker: Redis) -> None:
    old, new = Worker(broker, 1), Worker(broker, 2)
    await old.save(HELLO)
    await new.store.claim()
    async with running(old.store):
        old.store.add(Utterance("user", "too late"))
        await until(old.replaced)
        old.replaced.clear()
        old.store.add(Utterance("user", "too late again"))
        await old.store.saved(0.2)
        assert not old.replaced.is_set(), "it has been told"
    await old.store.close(retention_s=0)
    await new.save(Utterance("user", "in time"))
    assert [entry["text"] for entry in await stored(broker)] == ["Hello.", "in time"]
    past = await Worker(broker, 3).store.claim()
    assert past is not None
    assert past.memory.epoch == 2


async def test_a_worker_that_ends_a_session_that_another_has_deletes_nothing(broker: Redis) -> None:
    old, new = Worker(broker, 1), Worker(broker, 2)
    await old.save(HELLO)
    await new.store.claim()
    await old.store.close(retention_s=0)  # it does not know yet
    assert await broker.exists(keys.turn("s1"), keys.conversation("s1")) == 2
    await new.save(Utterance("user", "hi"))
    assert [entry["text"] for entry in await stored(broker)] == ["Hello.", "hi"]
    await new.store.close(retention_s=0)
    assert await broker.keys("*") == []


async def test_a_worker_that_was_told_so_writes_nothing_more(broker: Redis) -> None:
    old = Worker(broker, 1)
    await old.save(HELLO)
    old.store.change(at_once=False)
    old.store.abandon()
    async with running(old.store):
        old.store.add(Utterance("user", "too late"))
        await asyncio.sleep(0)
    await old.store.close(retention_s=0)
    assert [entry["text"] for entry in await stored(broker)] == ["Hello."]


async def test_a_session_can_be_taken_over_only_from_earlier_workers(broker: Redis) -> None:
    assert await Worker(broker, 3).store.claim() is not None
    assert await Worker(broker, 2).store.claim() is None
    assert await Worker(broker, 3).store.claim() is not None, "the answer to the first claim may have been lost"


async def test_a_broker_that_came_back_empty_gets_the_whole_conversation_again(broker: Redis) -> None:
    worker = Worker(broker, 1)
    await worker.save(HELLO)
    await broker.flushall()
    await worker.save(Utterance("user", "hi"))
    assert [entry["text"] for entry in await stored(broker)] == ["Hello.", "hi"]


async def test_small_changes_are_collected(broker: Redis) -> None:
    worker = Worker(broker, 1)
    async with running(worker.store):
        for _ in range(100):
            worker.store.change(at_once=False)
        await asyncio.sleep(0.05)
        assert await broker.exists(keys.turn("s1")) == 0
        assert await worker.store.saved(5)
        assert await broker.exists(keys.turn("s1")) == 1
    await worker.store.close(retention_s=0)


async def test_a_tool_does_not_wait_for_ever_for_a_broker_that_is_away(broker: Redis) -> None:
    store = ConversationStore(ScriptBatch(broker), "s1", expiry_s=100)
    store.change()
    assert not await store.saved(0.01)  # nobody writes
