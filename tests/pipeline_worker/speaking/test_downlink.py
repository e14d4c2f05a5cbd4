import asyncio

import numpy as np
import pytest

import pipeline_worker.speaking.downlink
from pipeline_worker.media_link import MediaLink
from pipeline_worker.speaking.downlink import Downlink
from shared.audio import Pcm
from shared.errors import AntiphonError
from shared.events import AgentSpeechEnded, FlushPlayout, PausePlayout, PlayoutReported, PlayoutState, ResumePlayout
from shared.frames import AudioFrame
from tests.fakes.session_peer import EPOCH, SESSION, SessionPeer
from tests.fakes.virtual_time import in_virtual_time

RATE = 24_000
MS = RATE // 1000


def opened() -> tuple[Downlink, SessionPeer]:
    peer = SessionPeer()
    downlink = Downlink(MediaLink(peer.send, "media-1", SESSION, EPOCH), RATE)
    downlink.begin_turn()
    return downlink, peer


def sound(duration_ms: int) -> Pcm:
    return np.arange(duration_ms * MS, dtype=np.int16)


def report(played_up_to: int, state: PlayoutState = "playing") -> PlayoutReported:
    return PlayoutReported(session=SESSION, played_up_to=played_up_to, state=state)


async def test_the_first_audio_goes_at_once_and_later_audio_in_larger_frames() -> None:
    downlink, peer = opened()
    for _ in range(6):
        await downlink.send(sound(30))
    assert [frame.samples // MS for frame in peer.audio] == [30, 120]
    assert downlink.position == 180 * MS
    await downlink.send_rest()
    assert [frame.samples // MS for frame in peer.audio] == [30, 120, 30]
    await downlink.send_rest()
    assert len(peer.audio) == 3


async def test_long_audio_is_cut_into_frames_that_are_one_stream() -> None:
    downlink, peer = opened()
    await downlink.send(sound(1000))
    assert [frame.samples // MS for frame in peer.audio] == [200] * 5
    assert [(frame.seq, frame.first_sample) for frame in peer.audio] == [(seq, seq * 200 * MS) for seq in range(5)]
    assert b"".join(frame.pcm for frame in peer.audio) == sound(1000).astype("<i2").tobytes()
    assert {(frame.sample_rate, frame.channels) for frame in peer.audio} == {(RATE, 1)}


async def test_audio_waits_for_what_was_heard() -> None:
    downlink, peer = opened()
    sending = asyncio.create_task(downlink.send(sound(5000)))
    await peer.until(lambda: peer.audio_end >= 2000 * MS)
    downlink.on_report(report(1000 * MS))
    await peer.until(lambda: peer.audio_end >= 3000 * MS)
    assert peer.audio_end == 3000 * MS
    assert not sending.done()
    downlink.on_report(report(3000 * MS))
    await asyncio.wait_for(sending, 5)
    assert peer.audio_end == 5000 * MS


async def test_audio_that_nobody_plays_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_worker.speaking.downlink, "_STALL_S", 0.01)
    downlink, _ = opened()
    with pytest.raises(AntiphonError) as raised:
        await downlink.send(sound(5000))
    assert raised.value.code == "playout_stalled"


async def test_a_turn_is_finished_when_it_was_heard() -> None:
    downlink, peer = opened()
    await downlink.send(sound(250))
    finishing = asyncio.create_task(downlink.finish())
    await peer.until(lambda: len(peer.all(AgentSpeechEnded)) == 1)
    assert peer.all(AgentSpeechEnded)[0].end_sample == 250 * MS
    downlink.on_report(report(249 * MS))
    await asyncio.sleep(0)
    assert not finishing.done()
    downlink.on_report(report(250 * MS, "finished"))
    await asyncio.wait_for(finishing, 5)


async def test_a_turn_whose_playout_is_never_reported_counts_as_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_worker.speaking.downlink, "_FINISH_GRACE_S", 0.0)
    downlink, _ = opened()
    await downlink.send(sound(20))
    await asyncio.wait_for(downlink.finish(), 5)
    assert downlink.played_up_to == 20 * MS


async def test_a_turn_without_sound_ends_nothing() -> None:
    downlink, peer = opened()
    await downlink.finish()
    assert await downlink.flush(5)
    assert peer.sent == []


async def test_a_flush_waits_for_its_report() -> None:
    downlink, peer = opened()
    peer.reports_flush = False
    await downlink.send(sound(1000))
    flushing = asyncio.create_task(downlink.flush(5))
    await peer.until(lambda: len(peer.all(FlushPlayout)) == 1)
    downlink.on_report(report(300 * MS))
    downlink.on_report(report(320 * MS, "flushed"))
    assert await flushing
    assert downlink.played_up_to == 320 * MS
    assert await downlink.flush(0.01) is False


async def test_the_rest_of_an_interrupted_turn_is_not_heard_in_the_next_one() -> None:
    downlink, peer = opened()
    await downlink.send(sound(40))
    await downlink.send(sound(40))
    downlink.begin_turn()
    assert downlink.position == 40 * MS
    await downlink.send(sound(20))
    assert [(frame.first_sample // MS, frame.samples // MS) for frame in peer.audio] == [(0, 40), (40, 20)]


async def test_a_report_never_goes_back_or_beyond_what_was_sent() -> None:
    downlink, _ = opened()
    await downlink.send(sound(100))
    downlink.on_report(report(10**9))
    assert downlink.played_up_to == 100 * MS
    downlink.on_report(report(5))
    assert downlink.played_up_to == 100 * MS


async def test_after_an_interruption_in_full_flow_the_agent_speaks_again() -> None:
    downlink, peer = opened()
    sending = asyncio.create_task(downlink.send(sound(5000)))
    await peer.until(lambda: peer.audio_end >= 2000 * MS)
    sending.cancel()
    downlink.on_report(report(100 * MS, "flushed"))
    downlink.begin_turn()
    await asyncio.wait_for(downlink.send(sound(1000)), 5)
    assert peer.audio_end == 3000 * MS


async def test_a_pause_and_what_ends_it_are_passed_on() -> None:
    downlink, peer = opened()
    await downlink.send(sound(100))
    downlink.pause()
    await downlink.send(sound(100))
    downlink.resume()
    assert [type(item) for item in peer.sent] == [AudioFrame, PausePlayout, AudioFrame, ResumePlayout]


async def test_a_turn_that_is_paused_before_it_began_waits() -> None:
    downlink, peer = opened()
    downlink.pause()
    sending = asyncio.create_task(downlink.send(sound(100)))
    await asyncio.sleep(0)
    assert peer.sent == []
    downlink.resume()
    await asyncio.wait_for(sending, 5)
    assert [type(item) for item in peer.sent] == [AudioFrame]


async def test_a_turn_abandoned_before_it_began_pauses_no_other() -> None:
    downlink, peer = opened()
    downlink.pause()
    assert await downlink.flush(5)
    downlink.begin_turn()
    await downlink.send(sound(100))
    assert [type(item) for item in peer.sent] == [AudioFrame]


async def test_a_pause_does_not_count_towards_the_playout_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline_worker.speaking.downlink, "_FINISH_GRACE_S", 0.0)
    downlink, _ = opened()
    await downlink.send(sound(20))
    downlink.pause()
    finishing = asyncio.create_task(downlink.finish())
    await asyncio.sleep(0.1)
    assert not finishing.done()
    downlink.resume()
    await asyncio.wait_for(finishing, 5)


async def test_it_is_known_whether_a_turn_was_begun_and_heard() -> None:
    downlink, _ = opened()
    assert (downlink.begun, downlink.heard) == (False, False)
    await downlink.send(sound(20))
    assert (downlink.begun, downlink.heard) == (True, False)
    downlink.on_report(report(10 * MS))
    assert (downlink.begun, downlink.heard) == (True, True)
    downlink.begin_turn()
    assert (downlink.begun, downlink.heard) == (False, False)


@in_virtual_time
async def test_a_media_worker_that_cannot_be_reached_gets_nothing_and_breaks_no_turn() -> None:
    downlink, peer = opened()
    downlink.suspend()
    sending = asyncio.create_task(downlink.send(sound(3000)))
    await asyncio.sleep(60)
    assert peer.sent == []
    downlink.unsuspend()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert peer.audio_end == 2000 * MS
    await asyncio.sleep(9)
    downlink.suspend()
    await asyncio.sleep(60)
    downlink.unsuspend()
    await asyncio.sleep(9)  # the stall is counted from here
    downlink.on_report(report(2000 * MS))
    await sending


@in_virtual_time
async def test_a_turn_is_not_over_while_the_media_worker_cannot_be_reached() -> None:
    downlink, peer = opened()
    peer.reports_flush = False
    await downlink.send(sound(500))
    finishing = asyncio.create_task(downlink.finish())
    flushing = asyncio.create_task(downlink.flush(1))
    await asyncio.sleep(0.5)
    downlink.suspend()
    await asyncio.sleep(60)
    assert not finishing.done()
    assert not flushing.done()
    downlink.unsuspend()
    await asyncio.sleep(5)
    assert finishing.done()
    assert not await flushing


async def test_a_new_media_worker_gets_what_was_sent_and_not_heard() -> None:
    downlink, peer = opened()
    await downlink.send(sound(1000))
    downlink.on_report(report(500 * MS))
    downlink.suspend()
    before = len(peer.sent)
    downlink.repeat()
    again = [item for item in peer.sent[before:] if isinstance(item, AudioFrame)]
    assert [(frame.first_sample // MS, frame.samples // MS) for frame in again] == [(500, 100), (600, 200), (800, 200)]
    assert b"".join(frame.pcm for frame in again) == sound(1000)[500 * MS :].astype("<i2").tobytes()
    await downlink.send(sound(200))
    assert [frame.seq for frame in peer.audio] == list(range(len(peer.audio)))
    assert peer.audio_end == 1200 * MS


async def test_a_new_media_worker_is_told_that_the_turn_is_complete_or_paused() -> None:
    downlink, peer = opened()
    await downlink.send(sound(200))
    finishing = asyncio.create_task(downlink.finish())
    await peer.until(lambda: len(peer.all(AgentSpeechEnded)) == 1)
    downlink.pause()
    downlink.repeat()
    assert [type(item) for item in peer.sent[-3:]] == [AudioFrame, AgentSpeechEnded, PausePlayout]
    downlink.resume()
    downlink.on_report(report(200 * MS, "finished"))
    await asyncio.wait_for(finishing, 5)
    sent = len(peer.sent)
    downlink.repeat()
    downlink.repeat_pause()
    assert len(peer.sent) == sent


async def test_what_was_flushed_is_not_sent_again() -> None:
    downlink, peer = opened()
    peer.reports_flush = False
    await downlink.send(sound(1000))
    flushing = asyncio.create_task(downlink.flush(5))
    await peer.until(lambda: len(peer.all(FlushPlayout)) == 1)
    sent = len(peer.sent)
    downlink.repeat()
    assert await flushing
    assert len(peer.sent) == sent


async def test_after_lost_messages_it_is_told_again_whether_the_agent_is_paused() -> None:
    downlink, peer = opened()
    downlink.repeat_pause()
    await downlink.send(sound(100))
    downlink.repeat_pause()
    downlink.pause()
    downlink.repeat_pause()
    assert [type(item) for item in peer.sent] == [AudioFrame, ResumePlayout, PausePlayout, PausePlayout]
