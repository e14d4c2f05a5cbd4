"""The voice with a downlink whose media worker is in memory. The answers of turn taking are scripted."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence

import pytest

from pipeline_worker.engines.protocols import Entry, Reply
from pipeline_worker.media_link import MediaLink
from pipeline_worker.speaking.downlink import Downlink
from pipeline_worker.speaking.spoken_text import Heard, recall
from pipeline_worker.speaking.voice import AgentVoice, Patience, VoiceOwner
from pipeline_worker.telemetry.turn_meter import TurnMeter
from pipeline_worker.turns.conversation import Utterance
from pipeline_worker.turns.events import Input, PlayoutFinished, PlayoutFlushed, ReplyFinished, SpeechBegan
from pipeline_worker.turns.state import State
from shared.agent import AgentDefinition
from shared.errors import EngineError
from shared.events import FlushPlayout, PausePlayout, PlayoutReported, PlayoutState, ResumePlayout
from shared.wire import Item
from tests.fakes.engines import FakeLm, FakeTts
from tests.fakes.session_peer import EPOCH, SESSION, SessionPeer
from tests.fakes.virtual_time import in_virtual_time

WORD = FakeTts.word_samples
AGENT = AgentDefinition(id="a", name="A", apology="Oh dear.")


class Speaking:
    """A voice, and what it reported: inputs and failures."""

    def __init__(self, *answers: Sequence[Reply] | EngineError) -> None:
        self.peer = SessionPeer()
        self.peer.connect(self)
        self.lm = FakeLm(*answers)
        self.tts = FakeTts()
        self.told: list[Input | str] = []
        self.confirmed: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._told = asyncio.Event()
        self.downlink = Downlink(MediaLink(self.peer.send, "media-1", SESSION, EPOCH), FakeTts.sample_rate)
        self.voice = AgentVoice(
            AGENT,
            self._answer,
            self.tts,
            self.downlink,
            TurnMeter(AGENT.id, lambda event_type, fields: None),
            VoiceOwner(self._tell, lambda error: self.told.append(error.code), self._spawn),
            Patience(),
        )

    def receive(self, item: Item) -> None:
        if isinstance(item, PlayoutReported):
            self.downlink.on_report(item)
            self.voice.newly_heard()

    def hear(self, up_to: int, state: PlayoutState = "playing") -> None:
        self.receive(PlayoutReported(session=SESSION, played_up_to=up_to, state=state))

    def _answer(self, conversation: Sequence[Entry], confirmed: asyncio.Event) -> AsyncGenerator[Reply, None]:
        self.confirmed.append(confirmed)
        return self.lm.reply(conversation)

    def _tell(self, event: Input) -> State:
        self.told.append(event)
        self._told.set()
        return State.SPEAKING if SpeechBegan() in self.told else State.LISTENING

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    async def until_told(self, event: Input) -> None:
        async with asyncio.timeout(5):
            while event not in self.told:
                self._told.clear()
                await self._told.wait()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_turn_begins_is_finished_and_is_heard() -> None:
    speaking = Speaking()
    speaking.voice.say("Hello there.")
    await speaking.until_told(ReplyFinished())
    speaking.hear(2 * WORD)
    await speaking.until_told(PlayoutFinished())
    assert speaking.told == [SpeechBegan(), ReplyFinished(), PlayoutFinished()]
    assert speaking.voice.end_turn() == Heard("Hello there.", True)
    assert speaking.voice.end_turn() is None
    await speaking.close()


async def test_a_reply_without_sound_is_not_played_out() -> None:
    speaking = Speaking([Reply("", end_call=True)])
    speaking.voice.reply(())
    await speaking.until_told(ReplyFinished(end_call=True))
    await settle()
    assert speaking.told == [ReplyFinished(end_call=True)]
    await speaking.close()


async def test_a_prepared_reply_is_synthesised_and_heard_only_when_it_is_released() -> None:
    speaking = Speaking([Reply("We open.")])
    speaking.voice.reply((), prepared=True)
    await settle()
    assert speaking.tts.spoken == ["We open."]
    assert speaking.told == []
    assert speaking.peer.sent == []
    assert not speaking.confirmed[0].is_set(), "no tool may run yet"
    speaking.voice.release()
    assert speaking.confirmed[0].is_set()
    await speaking.until_told(ReplyFinished())
    assert speaking.peer.audio_end == 2 * WORD
    await speaking.close()


async def test_a_cancelled_prepared_reply_leaves_no_trace() -> None:
    speaking = Speaking([Reply("We open.")], [Reply("At ten.")])
    speaking.voice.reply((), prepared=True)
    await settle()
    speaking.voice.cancel()
    assert speaking.voice.end_turn() is None
    speaking.voice.reply(())
    await speaking.until_told(ReplyFinished())
    assert speaking.lm.active == 0
    assert speaking.peer.audio_end == 2 * WORD
    await speaking.close()


@pytest.mark.parametrize("part", ["model", "voice"])
async def test_a_failure_in_a_prepared_reply_is_reported_when_the_reply_is_released(part: str) -> None:
    speaking = Speaking(EngineError("no", code="engine_failed") if part == "model" else [Reply("We open.")])
    if part == "voice":
        speaking.tts.failure = EngineError("no", code="engine_failed")
    speaking.voice.reply((), prepared=True)
    await settle()
    assert speaking.told == []
    speaking.voice.release()
    await speaking.until_told(ReplyFinished())
    assert speaking.told.count("engine_failed") == 1
    assert speaking.tts.spoken[-1] == "Oh dear."
    await speaking.close()


async def test_a_paused_turn_continues_where_it_stopped() -> None:
    speaking = Speaking()
    speaking.voice.say("Hello there.")
    await speaking.until_told(ReplyFinished())
    speaking.downlink.pause()
    speaking.hear(WORD, "paused")
    speaking.downlink.resume()
    assert len(speaking.peer.all(PausePlayout)) == len(speaking.peer.all(ResumePlayout)) == 1
    speaking.hear(2 * WORD, "finished")
    await speaking.until_told(PlayoutFinished())
    await speaking.close()


async def test_a_stopped_turn_knows_what_was_heard_of_it() -> None:
    speaking = Speaking()
    speaking.voice.say("Hello there.")
    await speaking.until_told(ReplyFinished())
    speaking.peer.played_up_to = WORD
    speaking.voice.stop()
    await speaking.until_told(PlayoutFlushed())
    assert speaking.voice.end_turn() == Heard("Hello", False)
    assert PlayoutFinished() not in speaking.told
    await speaking.close()


async def test_before_the_first_turn_nothing_can_be_stopped_or_heard() -> None:
    speaking = Speaking()
    speaking.voice.release()
    speaking.voice.cancel()
    assert speaking.voice.newly_heard() is None
    speaking.voice.stop()
    await speaking.until_told(PlayoutFlushed())
    assert speaking.peer.sent == []
    await speaking.close()


@in_virtual_time
async def test_when_nothing_is_played_the_turn_ends_with_an_error_and_the_session_goes_on() -> None:
    speaking = Speaking()
    speaking.voice.say("One two three four five six seven eight nine ten eleven twelve.")
    await asyncio.sleep(9)
    assert "playout_stalled" not in speaking.told
    await asyncio.sleep(2)
    assert speaking.told == [SpeechBegan(), "playout_stalled", ReplyFinished(), PlayoutFinished()]
    assert len(speaking.peer.all(FlushPlayout)) == 1
    assert speaking.voice.end_turn() == Heard("", False)
    await speaking.close()


async def test_the_rest_of_another_workers_turn_is_one_turn_with_what_was_heard_of_it() -> None:
    speaking = Speaking()
    speaking.voice.recall("We open", complete=False)
    speaking.voice.resume("at ten.", None)
    await speaking.until_told(ReplyFinished())
    speaking.hear(WORD)
    memory = speaking.voice.memory()
    assert memory is not None
    assert recall(memory, WORD) == ("We open at", "ten.")
    speaking.hear(2 * WORD, "finished")
    await speaking.until_told(PlayoutFinished())
    assert speaking.tts.spoken == ["at ten."]
    assert speaking.voice.end_turn() == Heard("We open at ten.", True)
    await speaking.close()


async def test_a_turn_that_waited_for_tools_continues_with_the_answer() -> None:
    speaking = Speaking([Reply("It is booked.")])
    speaking.voice.recall("Just", complete=False)
    speaking.voice.resume("a moment.", [Utterance("user", "book")])
    await speaking.until_told(ReplyFinished())
    assert speaking.tts.spoken == ["a moment.", "It is booked."]
    await speaking.close()


async def test_a_turn_that_was_heard_to_its_end_is_complete() -> None:
    speaking = Speaking()
    speaking.voice.recall("Hello.", complete=True)
    assert speaking.voice.end_turn() == Heard("Hello.", True)
    assert speaking.voice.memory() is None


async def test_what_another_worker_would_say_is_known_before_it_is_said() -> None:
    counted = "One two three four five six seven eight nine."
    speaking = Speaking([Reply(f"{counted} Ten. Elev"), Reply("en.", end_call=True)])
    speaking.voice.reply([Utterance("user", "count")])
    await speaking.until_told(SpeechBegan())
    memory = speaking.voice.memory()
    assert memory is not None
    assert (recall(memory, WORD), memory.complete) == (("One", f"{counted[4:]} Ten. Eleven."), True)
    speaking.hear(8 * WORD)
    await speaking.until_told(ReplyFinished(end_call=True))
    memory = speaking.voice.memory()
    assert memory is not None
    assert (recall(memory, 9 * WORD), memory.complete, memory.end_call) == ((counted, "Ten. Eleven."), True, True)
    await speaking.close()


async def test_a_prepared_turn_is_not_remembered_before_it_is_released() -> None:
    speaking = Speaking([Reply("Yes.")])
    speaking.voice.reply([Utterance("user", "hm")], prepared=True)
    assert speaking.voice.memory() is None
    speaking.voice.release()
    assert speaking.voice.memory() is not None
    await speaking.until_told(ReplyFinished())
    speaking.voice.stop()
    memory = speaking.voice.memory()
    assert memory is not None
    assert memory.interrupted
    await speaking.close()
