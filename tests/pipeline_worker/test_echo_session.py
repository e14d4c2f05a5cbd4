import asyncio

from pipeline_worker.echo_session import EchoSession
from pipeline_worker.media_link import MediaLink
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    EventsMissed,
    MediaAttached,
    PipelineLeaving,
    PlayoutReported,
    SessionClosed,
    TextReceived,
)
from tests.fakes.engines import LOUD
from tests.fakes.session_peer import EPOCH, FRAME, SESSION, SessionPeer


def connected() -> tuple[EchoSession, SessionPeer]:
    peer = SessionPeer()
    session = EchoSession(MediaLink(peer.send, "media-1", SESSION, EPOCH))
    peer.connect(session)
    return session, peer


def test_a_frame_goes_back_in_the_tick_in_which_it_came() -> None:
    _, peer = connected()
    frame = peer.next_frame()
    peer.tell(frame)
    assert peer.audio == [frame]
    assert peer.statuses == ["listening"]


def test_silence_makes_no_hole_in_the_echo() -> None:
    _, peer = connected()
    peer.tell(peer.next_frame())
    peer.skip_silence(1000)
    peer.tell(peer.next_frame())
    assert [(frame.seq, frame.first_sample) for frame in peer.audio] == [(0, 0), (1, FRAME)]


def test_another_epochs_or_rates_frames_are_not_echoed() -> None:
    _, peer = connected()
    frame = peer.next_frame()
    for other in (frame._replace(epoch=EPOCH + 1), frame._replace(sample_rate=48_000), frame._replace(channels=2)):
        peer.tell(other)
    peer.tell(TextReceived(session=SESSION, text="hi"))
    assert peer.audio == []


async def test_it_ends_when_the_media_worker_closes_the_session() -> None:
    session, peer = connected()
    running = asyncio.create_task(session.run())
    peer.tell(SessionClosed(session=SESSION))
    await asyncio.wait_for(running, 5)
    session.end("server_shutdown")
    assert peer.all(EndSession) == []


async def test_it_can_be_ended_once() -> None:
    session, peer = connected()
    session.end("server_shutdown")
    session.end("server_shutdown")
    await asyncio.wait_for(session.run(), 5)
    assert [end.reason for end in peer.all(EndSession)] == ["server_shutdown"]


def test_silence_ends_the_talkspurt_once() -> None:
    _, peer = connected()
    peer.tell(peer.next_frame())
    peer.skip_silence(100)
    peer.skip_silence(100)
    assert [end.end_sample for end in peer.all(AgentSpeechEnded)] == [FRAME]


def lagging(frames_queued: int) -> SessionPeer:
    """After a second of loud talk at a standing queue, reported every 100 ms."""
    _, peer = connected()
    echoed(peer, 10, LOUD)
    for _ in range(10):
        played = (len(peer.audio) - frames_queued) * FRAME
        peer.tell(PlayoutReported(session=SESSION, played_up_to=played, state="playing"))
        echoed(peer, 5, LOUD)
    return peer


def echoed(peer: SessionPeer, frames: int, level: int) -> int:
    before = len(peer.audio)
    for _ in range(frames):
        peer.tell(peer.next_frame(level))
    return len(peer.audio) - before


def test_the_lag_of_a_stall_is_removed_in_the_next_quiet_frames() -> None:
    peer = lagging(frames_queued=6)
    assert echoed(peer, 6, 0) == 1, "five frames (100 ms) were queued beyond need"
    assert [frame.first_sample for frame in peer.audio] == [FRAME * n for n in range(len(peer.audio))]


def test_a_caller_who_never_pauses_loses_the_lag_after_a_second() -> None:
    assert echoed(lagging(frames_queued=4), 60, LOUD) == 57


def test_the_cushion_is_kept() -> None:
    assert echoed(lagging(frames_queued=1), 60, 0) == 60


def test_a_new_media_worker_learns_that_the_worker_drains() -> None:
    session, peer = connected()
    moved = MediaAttached(session=SESSION, media_worker="media-2", generation=2)
    peer.tell(moved)
    assert peer.all(PipelineLeaving) == []
    session.leave()
    session.leave(at_once=True)
    peer.tell(moved)
    assert len(peer.all(PipelineLeaving)) == 2
    session.stay()
    peer.tell(moved)
    assert len(peer.all(PipelineLeaving)) == 2


def test_a_media_worker_that_has_lost_messages_gets_the_status_and_the_wish_to_leave_again() -> None:
    session, peer = connected()
    peer.tell(EventsMissed(session=SESSION, published=0))
    assert peer.statuses == ["listening", "listening"]
    assert peer.all(PipelineLeaving) == []
    session.leave()
    peer.tell(EventsMissed(session=SESSION, published=2))
    assert len(peer.all(PipelineLeaving)) == 2


async def test_a_session_that_was_replaced_ends_without_a_word() -> None:
    session, peer = connected()
    peer.tell(SessionClosed(session=SESSION, reason="replaced"))
    await asyncio.wait_for(session.run(), 5)
    sent = len(peer.sent)
    session.suspend(unreachable=True)
    session.on_messages_lost()
    peer.tell(peer.next_frame())
    assert (len(peer.sent), session.uplink_from) == (sent, None)
