"""A pipeline worker dies in the middle of a call, and another one carries the session on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline_worker import conversation_store
from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.engines.catalog import Engines
from pipeline_worker.engines.protocols import Reply, ToolCall
from pipeline_worker.engines.scripted.language_model import ScriptedLanguageModelProvider
from pipeline_worker.script_batch import ScriptBatch
from pipeline_worker.session import ConversationSession
from pipeline_worker.tools.toolbox import Toolbox, Toolboxes
from pipeline_worker.turns.conversation import ToolUse, Utterance
from shared import keys
from shared.agent_tools import Tool
from shared.events import (
    EndSession,
    FlushPlayout,
    InterruptRequested,
    PipelineLeaving,
    PublishEvent,
    SessionClosed,
    TextReceived,
)
from shared.io.broker import Redis
from tests.fakes.booking_tool import booked
from tests.fakes.engines import FakeEngines, FakeLm, FakeStt
from tests.fakes.scripts import scripted_agent
from tests.fakes.session_peer import SESSION, SessionPeer
from tests.pipeline_worker.sessions import AGENT, GREETING, WORD, engines_with, session_of, taken_over

ANSWER = "We open at ten. Anything else?"


@pytest.fixture(autouse=True)
def saves_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_store, "_LATER_S", 0.02)


class Call:
    """A caller and the workers that serve them, one after the other."""

    def __init__(self, broker: Redis, engines: FakeEngines, toolbox: Toolbox | None = None, **agent: Any) -> None:
        self.broker = broker
        self.engines = engines
        self.peer = SessionPeer(engines.vad)
        self._toolbox = toolbox
        self._agent = agent
        self.session = session_of(self.peer, engines, broker, toolbox=toolbox, **agent)
        self.running = asyncio.create_task(self.session.run())

    @classmethod
    @asynccontextmanager
    async def begun(cls, broker: Redis, engines: FakeEngines, **options: Any) -> AsyncIterator["Call"]:
        call = cls(broker, engines, **options)
        await asyncio.sleep(0)
        call.peer.connect(call.session)
        try:
            yield call
        finally:
            call.peer.tell(SessionClosed(session=SESSION))
            await asyncio.wait_for(call.running, 5)
        assert await broker.keys("*") == []

    async def until_stored(self, *parts: str) -> None:
        """The worker has written this down."""
        async with asyncio.timeout(5):
            while True:
                turn = await self.broker.get(keys.turn(SESSION))
                lines = [turn, *await self.broker.lrange(keys.conversation(SESSION), 0, -1)]
                stored = b"\n".join(line for line in lines if isinstance(line, bytes))
                if all(part.encode() in stored for part in parts):
                    return
                await asyncio.sleep(0.01)

    async def kill(self) -> ConversationSession:
        """The worker falls silent; it neither saves nor says anything more. Returns its session."""
        killed = self.session
        killed.receive(SessionClosed(session=SESSION, reason="replaced"))
        await asyncio.wait_for(self.running, 5)
        return killed

    async def take_over(self, engines: FakeEngines) -> None:
        self.engines = engines
        self.peer._vad = engines.vad
        self.session = await taken_over(self.peer, engines, self.broker, self._toolbox, **self._agent)
        self.running = asyncio.create_task(self.session.run())
        await asyncio.sleep(0)
        self.peer.take_over(self.session, self.session.uplink_from)

    def transcript(self) -> list[tuple[str, str]]:
        return [(fields["role"], fields["text"]) for fields in self.peer.published_ever("transcript")]


async def until_heard(call: Call, words: int) -> None:
    await call.peer.until(lambda: call.peer.audio_end >= words * WORD)
    call.peer.play(words * WORD)


async def test_the_worker_was_killed_in_mid_sentence_and_the_rest_of_it_is_heard_and_shown_as_one(
    broker: Redis,
) -> None:
    engines = engines_with(FakeStt("when do you open"), FakeLm([Reply(ANSWER)]))
    async with Call.begun(broker, engines) as call:
        await call.peer.ask()
        await until_heard(call, 3)
        await call.until_stored("Anything else?", '"complete":true')
        await call.kill()
        second = FakeEngines()
        await call.take_over(second)
        await until_heard(call, 1)
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        assert second.tts.spoken == ["ten.", "Anything else?"]
        assert second.lm.asked == []
        assert call.transcript() == [("user", "when do you open"), ("agent", ANSWER)]
        partials = [fields["text"] for fields in call.peer.published("transcript-partial")]
        assert partials[0] == "We open at ten."
        assert partials[-1] == ANSWER


async def test_a_caller_who_interrupts_the_rest_is_shown_what_both_workers_said(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"), FakeLm([Reply(ANSWER)]))
    async with Call.begun(broker, engines) as call:
        await call.peer.ask()
        await until_heard(call, 2)
        await call.until_stored("Anything else?", '"complete":true')
        await call.kill()
        await call.take_over(engines_with(FakeStt("on sunday"), FakeLm([Reply("At two.")])))
        await until_heard(call, 2)
        call.peer.tell(TextReceived(session=SESSION, text="on sunday"))
        await call.peer.until(lambda: bool(call.peer.all(FlushPlayout)))
        await call.peer.play_turn()
        await call.peer.until(lambda: len(call.transcript()) == 4)
        assert call.transcript()[1:] == [("agent", "We open at ten."), ("user", "on sunday"), ("agent", "At two.")]


async def test_a_session_that_was_taken_over_twice_still_says_the_rest_once(broker: Redis) -> None:
    async with Call.begun(broker, FakeEngines(), greeting=GREETING.model_copy(update={"text": ANSWER})) as call:
        for words in (2, 1):
            await until_heard(call, words)
            await call.until_stored('"samples":8000', '"complete":true')
            await call.kill()
            await call.take_over(FakeEngines())
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        assert call.engines.tts.spoken == ["ten.", "Anything else?"]
        assert call.transcript() == [("agent", ANSWER)]


async def test_nobody_was_speaking_when_the_worker_was_killed_and_there_is_no_second_greeting(broker: Redis) -> None:
    engines = FakeEngines()
    async with Call.begun(broker, engines, greeting=GREETING) as call:
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        await call.until_stored("Hello there.", '"turn":null')
        await call.kill()
        await call.take_over(engines_with(FakeStt("when do you open"), FakeLm([Reply(ANSWER)])))
        await call.peer.until_status("listening")
        await call.peer.ask()
        await call.peer.play_turn()
        await call.peer.until_status("listening", "thinking", "speaking", "listening")
        assert call.transcript() == [("agent", "Hello there."), ("user", "when do you open"), ("agent", ANSWER)]
        assert call.engines.lm.asked == [(Utterance("agent", "Hello there."), Utterance("user", "when do you open"))]


async def test_a_worker_that_was_killed_before_it_greeted_is_followed_by_one_that_does(broker: Redis) -> None:
    async with Call.begun(broker, FakeEngines()) as call:
        await call.kill()
        call._agent = {"greeting": GREETING}
        await call.take_over(FakeEngines())
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        assert call.transcript() == [("agent", "Hello there.")]


async def test_a_question_that_the_killed_worker_had_not_answered_is_answered(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"))
    engines.lm.may_answer.clear()
    async with Call.begun(broker, engines) as call:
        await call.peer.ask()
        await call.until_stored("when do you open")
        await call.kill()
        await call.take_over(engines_with(lm=FakeLm([Reply(ANSWER)])))
        await call.peer.play_turn()
        await call.peer.until_status("thinking", "speaking", "listening")
        assert call.transcript() == [("user", "when do you open"), ("agent", ANSWER)]


async def test_a_question_whose_answer_the_caller_has_stopped_is_not_answered_by_the_next_worker(
    broker: Redis,
) -> None:
    engines = engines_with(FakeStt("when do you open"))
    engines.lm.may_answer.clear()
    async with Call.begun(broker, engines) as call:
        await call.peer.ask()
        await call.peer.until_status("listening", "thinking")
        call.peer.tell(InterruptRequested(session=SESSION))
        await call.until_stored("when do you open", '"answered":true', '"turn":null')
        await call.kill()
        await call.take_over(FakeEngines())
        await call.peer.until_status("listening")
        assert call.engines.lm.asked == []


async def test_the_caller_was_speaking_when_the_worker_was_killed_and_no_word_is_lost(broker: Redis) -> None:
    engines = FakeEngines()
    async with Call.begun(broker, engines, greeting=GREETING) as call:
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        await call.until_stored("Hello there.", '"turn":null')
        await call.peer.be_quiet(400)
        await call.peer.speak(400)
        await call.kill()
        second = engines_with(FakeStt("when do you open"), FakeLm([Reply(ANSWER)]))
        await call.take_over(second)
        await call.peer.speak(200)
        await call.peer.be_quiet(800)
        await call.peer.play_turn()
        await call.peer.until(lambda: len(call.transcript()) == 3)
        assert call.transcript() == [("agent", "Hello there."), ("user", "when do you open"), ("agent", ANSWER)]
        heard = [level for piece in second.stt.heard[0] for level in piece.tolist()]
        assert sum(1 for level in heard if level) == 600 * 16


async def test_the_events_of_both_workers_are_numbered_in_one_sequence(broker: Redis) -> None:
    async with Call.begun(broker, FakeEngines(), greeting=GREETING) as call:
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        await call.kill()
        await call.take_over(FakeEngines())
        await call.peer.until(lambda: bool(call.peer.statuses))
        items = (*call.peer.sent_before, *call.peer.sent)
        numbers = [item.number for item in items if isinstance(item, PublishEvent)]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_the_transcript_has_words_that_were_recorded_just_before_the_worker_was_killed(broker: Redis) -> None:
    async with Call.begun(broker, FakeEngines(), greeting=GREETING) as call:
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        await call.until_stored("Hello there.", '"turn":null')
        await call.kill()
        arrived = [item for item in call.peer.sent if isinstance(item, PublishEvent)]
        lost = next(index for index, event in enumerate(arrived) if event.type == "transcript")
        call.peer.sent = list(arrived[:lost])
        await call.take_over(FakeEngines())
        assert call.transcript() == [("agent", "Hello there.")]


async def test_a_worker_that_dies_before_it_could_go_on_leaves_everything_to_the_next(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"), FakeLm([Reply(ANSWER)]))
    async with Call.begun(broker, engines) as call:
        await call.peer.ask()
        await until_heard(call, 3)
        await call.until_stored("Anything else?", '"complete":true')
        await call.kill()
        second = await taken_over(call.peer, FakeEngines(), broker)
        running = asyncio.create_task(second.run())
        await asyncio.sleep(0)
        second.leave(at_once=True)  # it saves what it knows
        await call.until_stored('"epoch":2')
        await call.peer.until(lambda: isinstance(call.peer.sent[-1], PipelineLeaving))
        second.receive(SessionClosed(session=SESSION, reason="replaced"))
        await running
        call.peer.epoch = 2
        await call.take_over(FakeEngines())
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        assert call.engines.tts.spoken == ["ten.", "Anything else?"]
        assert call.transcript() == [("user", "when do you open"), ("agent", ANSWER)]


async def test_a_worker_that_wakes_up_says_nothing_more_and_the_call_goes_on(broker: Redis) -> None:
    engines = engines_with(FakeStt("one", "two"))
    async with Call.begun(broker, engines) as call:
        await call.peer.ask()
        await call.peer.until(lambda: call.peer.audio_end > 0)
        first, first_running = call.session, call.running
        await call.take_over(FakeEngines())
        sent = len(call.peer.sent_before)
        first.receive(SessionClosed(session=SESSION, reason="replaced"))
        await asyncio.wait_for(first_running, 5)
        first.end("server_shutdown")
        assert len(call.peer.sent_before) == sent
        assert call.peer.all(EndSession) == []
        assert await broker.exists(keys.turn(SESSION))


async def test_a_worker_that_was_replaced_notices_it_when_it_writes(broker: Redis) -> None:
    async with Call.begun(broker, FakeEngines()) as call:
        await call.peer.until_status("listening")
        assert await ConversationStore(ScriptBatch(broker), SESSION, 100, epoch=2).claim() is not None
        call.peer.tell(TextReceived(session=SESSION, text="hello"))
        await asyncio.wait_for(call.running, 5)
        assert call.peer.all(EndSession) == []
        gone = [(closed.session, closed.reason) for closed in call.peer.all(SessionClosed)]
        assert gone == [(SESSION, "session_gone")], "the other one may have died before it attached"
        await broker.flushall()


BOOK = Tool.model_validate(
    {
        "name": "book",
        "description": "Books a table.",
        "python": "tests.fakes.booking_tool:book",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    }
)


@pytest.fixture
async def toolbox() -> AsyncIterator[Toolbox]:
    booked.clear()
    toolboxes = Toolboxes({AGENT.id: AGENT.model_copy(update={"tools": (BOOK,)})})
    await toolboxes.start()
    yield toolboxes.open(AGENT.id)
    await toolboxes.close()


async def test_the_worker_was_killed_while_a_table_was_booked_and_it_is_not_booked_twice(
    broker: Redis, toolbox: Toolbox
) -> None:
    call_tool = Reply("Just a moment.", tool_calls=(ToolCall("1", "book", '{"name": "Ann"}'),))
    engines = engines_with(FakeStt("a table for Ann"), FakeLm([call_tool]))
    async with Call.begun(broker, engines, toolbox=toolbox, tools=(BOOK,)) as call:
        await call.peer.ask()
        await until_heard(call, 3)
        await call.peer.until(lambda: bool(call.peer.published("tool-call")))
        await call.until_stored('"waits_for_tools":true', "Just a moment.")
        assert booked == ["Ann"]
        await call.kill()
        second = engines_with(lm=FakeLm([Reply("Shall I book it again?")]))
        await call.take_over(second)
        await call.peer.play_turn()
        await call.peer.until_status("speaking", "listening")
        ((asked, use),) = second.lm.asked
        assert asked == Utterance("user", "a table for Ann")
        assert isinstance(use, ToolUse)
        assert use.call == ToolCall("1", "book", '{"name": "Ann"}')
        assert use.result.startswith("Unknown")
        assert call.transcript()[-1] == ("agent", "Just a moment. Shall I book it again?")
        assert booked == ["Ann"]


async def test_what_the_caller_had_said_for_a_form_is_not_asked_again(broker: Redis) -> None:
    provider = ScriptedLanguageModelProvider()
    agent = scripted_agent()
    provider.add(agent)
    await provider.start()

    class Scripted(FakeEngines):
        def open(self, agent_id: str) -> Engines:
            return super().open(agent_id)._replace(lm=provider.open(agent.id))

    async with Call.begun(broker, Scripted()) as call:
        for number, text in enumerate(("Book a table.", "Seven."), 1):
            call.peer.tell(TextReceived(session=SESSION, text=text))
            await call.peer.play_turn()
            await call.peer.until_status("listening", *["thinking", "speaking", "listening"] * number)
        await call.until_stored(call.transcript()[-1][1])
        await call.kill()
        await call.take_over(Scripted())
        call.peer.tell(TextReceived(session=SESSION, text="Seven."))
        await call.peer.play_turn()
        await call.peer.until_status("listening", "thinking", "speaking", "listening")
        assert call.transcript()[-1] == ("agent", "A table for 7 people at 7 pm.")
    await provider.close()
