"""A session whose media worker is lost, changes, or loses messages; and one whose own worker drains."""

import asyncio

import pytest

from pipeline_worker.engines.protocols import Reply
from pipeline_worker.session import ConversationSession
from pipeline_worker.speaking import downlink
from shared.agent import Greeting
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    EventsMissed,
    FlushPlayout,
    MediaAttached,
    PipelineAttached,
    PipelineLeaving,
    PublishEvent,
    SessionClosed,
    TalkChanged,
    TextReceived,
    TextsMissed,
)
from shared.frames import AudioFrame
from shared.io.broker import Redis
from tests.fakes.engines import LOUD, FakeEngines, FakeLm, FakeStt
from tests.fakes.session_peer import SESSION, SessionPeer
from tests.pipeline_worker.sessions import AGENT, GREETING, WORD, connected, engines_with, session_of

MOVED = MediaAttached(session=SESSION, media_worker="media-2", generation=2)


def session_at(peer: SessionPeer) -> ConversationSession:
    assert isinstance(peer._session, ConversationSession)
    return peer._session


def restart_audio(peer: SessionPeer) -> None:
    """The positions of a new media worker begin at 0."""
    peer._seq = peer._position = 0


async def test_the_agent_goes_on_where_it_was_heard_when_the_callers_media_worker_was_replaced(broker: Redis) -> None:
    async with connected(FakeEngines(), broker, greeting=GREETING) as peer:
        await peer.until(lambda: len(peer.all(AgentSpeechEnded)) == 1)
        peer.play(WORD)
        session_at(peer).suspend(unreachable=True)
        sent = len(peer.sent)
        peer.tell(MOVED)
        again = peer.sent[sent:]
        assert next(item.first_sample for item in again if isinstance(item, AudioFrame)) == WORD
        assert peer.audio_end == 2 * WORD
        assert isinstance(again[-1], AgentSpeechEnded)
        peer.play(2 * WORD)
        await peer.until_status("speaking", "listening")
    assert peer.published("transcript") == [{"role": "agent", "text": "Hello there."}]


async def test_the_caller_is_understood_by_the_new_media_workers_audio(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"))
    async with connected(engines, broker) as peer:
        await peer.be_quiet(1000)
        await peer.speak(300)
        peer.tell(MOVED)
        restart_audio(peer)
        await peer.speak(300)
        await peer.be_quiet(800)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    heard = [level for piece in engines.stt.heard[0] for level in piece.tolist()]
    assert sum(1 for level in heard if level) == 600 * 16


async def test_an_answer_that_was_prepared_while_the_media_worker_was_lost_is_heard_later(broker: Redis) -> None:
    engines = engines_with(FakeStt("one"), FakeLm([Reply("Yes.")]))
    engines.lm.may_answer.clear()
    async with connected(engines, broker) as peer:
        await peer.ask()
        session_at(peer).suspend(unreachable=True)
        engines.lm.may_answer.set()
        await asyncio.sleep(0.05)
        assert peer.audio == []
        session_at(peer).suspend(unreachable=False)
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 2)


async def test_the_agent_greets_though_the_message_that_the_caller_is_connected_was_lost(broker: Redis) -> None:
    engines = FakeEngines()
    peer = SessionPeer(engines.vad)
    session = session_of(peer, engines, broker, greeting=GREETING)
    running = asyncio.create_task(session.run())
    await asyncio.sleep(0)
    peer._session = session
    peer.tell(peer.next_frame(0))
    assert peer.statuses == []
    session.on_messages_lost()
    peer.tell(peer.next_frame(0))
    await peer.until_status("speaking")
    peer.tell(SessionClosed(session=SESSION))
    await asyncio.wait_for(running, 5)


async def test_an_utterance_is_not_open_for_ever_when_the_release_of_the_button_was_lost(broker: Redis) -> None:
    engines = engines_with(FakeStt("when do you open"))
    taking = AGENT.turn_taking.model_copy(update={"mode": "push_to_talk"})
    async with connected(engines, broker, turn_taking=taking) as peer:
        peer.tell(TalkChanged(session=SESSION, pressed=True))
        for _ in range(30):
            peer.tell(peer.next_frame())
        session_at(peer).on_messages_lost()
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")


async def test_a_question_whose_end_was_lost_is_answered(broker: Redis) -> None:
    """Half a second of sound and the silence after it never came."""
    engines = engines_with(FakeStt("when do you open"))
    async with connected(engines, broker) as peer:
        await peer.speak(600)
        for level in (*[LOUD] * 15, *[0] * 10):
            peer.next_frame(level)
        session_at(peer).on_messages_lost()
        await peer.be_quiet(800)
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert peer.published("transcript")[0] == {"role": "user", "text": "when do you open"}


async def test_a_typed_question_that_was_lost_is_answered_once(broker: Redis) -> None:
    async with connected(FakeEngines(), broker) as peer:
        session_at(peer).on_messages_lost()
        assert peer.all(TextsMissed) == [TextsMissed(session=SESSION, epoch=1, received=0)]
        for _ in range(2):
            peer.tell(TextReceived(session=SESSION, text="when do you open", number=1))
        await peer.play_turn()
        await peer.until_status("listening", "thinking", "speaking", "listening")
    assert [entry["role"] for entry in peer.published("transcript")] == ["user", "agent"]


async def test_a_draining_worker_whose_request_was_lost_asks_again_and_is_not_cut(broker: Redis) -> None:
    async with connected(FakeEngines(), broker) as peer:
        session_at(peer).leave()
        await peer.until(lambda: len(peer.all(PipelineLeaving)) == 1)
        published = len(peer.all(PublishEvent))
        peer.tell(EventsMissed(session=SESSION, published=published))
        assert len(peer.all(PipelineLeaving)) == 2
        assert len(peer.all(PublishEvent)) == published


async def test_a_session_leaves_its_draining_worker_between_two_turns(broker: Redis) -> None:
    async with connected(engines_with(FakeStt("one")), broker, greeting=GREETING) as peer:
        await peer.until(lambda: len(peer.audio) > 0)
        session_at(peer).leave()
        await asyncio.sleep(0.05)
        assert peer.all(PipelineLeaving) == []
        await peer.play_turn()
        await peer.until(lambda: len(peer.all(PipelineLeaving)) == 1)
        await peer.ask()  # served until another worker has attached
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 3)
        session_at(peer).leave(at_once=True)
        await asyncio.sleep(0.05)
        assert len(peer.all(PipelineLeaving)) == 1
        peer.tell(MOVED)  # the new media worker has to know it too
        assert len(peer.all(PipelineLeaving)) == 2
        peer.tell(SessionClosed(session=SESSION, reason="replaced"))
    assert peer.all(EndSession) == []
    await broker.flushall()


async def test_a_session_that_had_asked_for_another_worker_stays_when_the_drain_is_undone(broker: Redis) -> None:
    async with connected(engines_with(FakeStt("one")), broker) as peer:
        session = session_at(peer)
        session._link.attach("pipeline-1")
        session.leave()
        await peer.until(lambda: len(peer.all(PipelineLeaving)) == 1)
        session.stay()
        assert peer.all(PipelineAttached) == 2 * [peer.all(PipelineAttached)[0]]
        peer.tell(MOVED)
        assert len(peer.all(PipelineLeaving)) == 1, "the new media worker is to look for nobody"
        await peer.ask()
        await peer.play_turn()
        await peer.until(lambda: len(peer.published("transcript")) == 2)
        session.leave()
        await peer.until(lambda: len(peer.all(PipelineLeaving)) == 2)


async def test_a_session_does_not_leave_while_the_caller_speaks_unless_there_is_no_time_left(broker: Redis) -> None:
    async with connected(engines_with(FakeStt("one")), broker) as peer:
        await peer.speak(400)
        session_at(peer).leave()
        await peer.speak(400)
        assert peer.all(PipelineLeaving) == []
        session_at(peer).leave(at_once=True)
        await peer.until(lambda: len(peer.all(PipelineLeaving)) == 1)


async def test_playout_that_stalls_ends_the_turn_and_not_the_session(
    broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session had ended without a word when the broker was away for ten seconds."""
    monkeypatch.setattr(downlink, "_STALL_S", 0.05)
    text = "One two three four five six seven eight nine ten eleven twelve."
    async with connected(engines_with(FakeStt("one")), broker, greeting=Greeting(text=text)) as peer:
        await peer.until(lambda: len(peer.all(FlushPlayout)) == 1)
        await peer.until_status("speaking", "listening")
        assert peer.published("error")[0]["code"] == "playout_stalled"
        await peer.ask()
        await peer.until(lambda: peer.audio_end > 8 * WORD)
        peer.play(peer.audio_end)
        await peer.until(lambda: peer.published("transcript")[-1] == {"role": "agent", "text": "Yes."})
