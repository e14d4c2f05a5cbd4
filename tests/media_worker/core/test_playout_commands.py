"""Flush, pause, resume and restart."""

import numpy as np
import pytest

from media_worker.core.playout import Ended, PlayoutBuffer
from shared.audio import as_samples
from tests.media_worker.core.playout_samples import FADE, FRAME, RATE, as_ramp, frame_of, pcm_of, play_until, ramp


@pytest.fixture
def buffer() -> PlayoutBuffer:
    return PlayoutBuffer(RATE, cushion_ms=40)


def test_a_flush_fades_within_5_ms_and_drops_the_rest(buffer: PlayoutBuffer) -> None:
    level = 10_000
    buffer.push(0, np.full(20 * FRAME, level, "<i2").tobytes())
    last = pcm_of(buffer.take())[-1]
    buffer.flush()
    faded = pcm_of(buffer.take()).astype(int)
    assert faded[0] == last == level
    steps = np.diff(np.concatenate([[last], faded]))
    assert steps.max() <= 0, "it only falls"
    assert -steps.min() <= level / FADE * 1.1, "and evenly"
    assert not faded[FADE - 1 :].any()
    assert buffer.take() == Ended("flushed")
    assert buffer.take() is None
    assert buffer._buffered == 0
    assert buffer.played_up_to == FRAME + FADE


def test_a_flush_before_anything_was_heard_is_silent(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, FRAME))
    buffer.flush()
    assert buffer.take() == Ended("flushed")
    assert buffer.played_up_to == 0


def test_a_flush_without_audio_is_reported_too(buffer: PlayoutBuffer) -> None:
    buffer.flush()
    assert buffer.take() == Ended("flushed")


def test_a_flush_is_reported_even_if_an_end_follows_at_once(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 4 * FRAME))
    buffer.take()
    buffer.flush()
    buffer.end_talkspurt()
    buffer.take()
    assert buffer.take() == Ended("flushed")
    assert buffer.take() == Ended("finished")


def test_what_comes_after_a_flush_plays_from_its_beginning(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 10 * FRAME))
    buffer.take()
    buffer.flush()
    assert buffer.push(10 * FRAME, ramp(10 * FRAME, 2 * FRAME))
    buffer.take()
    assert buffer.take() == Ended("flushed")
    assert buffer.played_up_to == FRAME + FADE
    frame = frame_of(buffer.take())
    assert frame.starts_talkspurt
    assert as_samples(frame.pcm).tolist() == as_ramp(10 * FRAME, FRAME)
    assert buffer.played_up_to == 11 * FRAME


def test_a_pause_fades_and_the_resumption_repeats_what_was_faded(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 10 * FRAME))
    heard = pcm_of(buffer.take()).tolist()
    buffer.pause()
    faded = pcm_of(buffer.take())
    assert not faded[FADE:].any()
    assert buffer.take() == Ended("paused")
    assert [buffer.take() for _ in range(5)] == [None] * 5
    assert buffer.played_up_to == FRAME
    buffer.resume()
    buffer.end_talkspurt()
    assert heard + play_until(buffer, ends="finished") == as_ramp(0, 10 * FRAME)


def test_audio_that_comes_during_a_pause_is_kept(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 3 * FRAME))
    heard = pcm_of(buffer.take()).tolist()
    buffer.pause()
    assert not buffer.push(3 * FRAME, ramp(3 * FRAME, 3 * FRAME))
    buffer.end_talkspurt()
    buffer.take(), buffer.take()
    buffer.resume()
    assert heard + play_until(buffer, ends="finished") == as_ramp(0, 6 * FRAME)


def test_a_pause_before_the_cushion_is_silent(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, FRAME))
    buffer.pause()
    assert buffer.take() == Ended("paused")
    buffer.resume()
    buffer.push(FRAME, ramp(FRAME, FRAME))
    assert pcm_of(buffer.take()).tolist() == as_ramp(0, FRAME)


def test_a_pause_at_the_very_end_does_not_hide_the_end(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 2 * FRAME))
    buffer.end_talkspurt()
    buffer.take(), buffer.take()
    buffer.pause()
    buffer.take()
    assert buffer.take() == Ended("paused")
    buffer.resume()
    assert buffer.take() == Ended("finished")


def test_pause_and_resume_without_audio_change_nothing(buffer: PlayoutBuffer) -> None:
    buffer.pause()
    buffer.resume()
    assert buffer.state == "idle"
    assert buffer.take() is None


def test_a_flush_during_a_pause_drops_everything(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 10 * FRAME))
    buffer.take()
    buffer.pause()
    buffer.take(), buffer.take()
    buffer.flush()
    assert buffer.take() == Ended("flushed")
    assert buffer.played_up_to == FRAME
    buffer.resume()
    assert buffer.take() is None


def test_after_a_takeover_positions_start_at_zero(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 10 * FRAME))
    buffer.take()
    assert buffer.restart() == FRAME + FADE, "what was heard of the old stream"
    assert buffer.push(0, ramp(0, 2 * FRAME))
    assert not pcm_of(buffer.take())[FADE:].any()
    assert pcm_of(buffer.take()).tolist() == as_ramp(0, FRAME)
    assert buffer.played_up_to == FRAME


def test_settled_playout_resumes_and_plays_what_is_left(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, FRAME + 10))
    assert buffer.take() is None, "less than a cushion"
    buffer.pause()
    assert buffer.take() == Ended("paused")
    buffer.settle()
    assert play_until(buffer, ends="finished")[: FRAME + 10] == as_ramp(0, FRAME + 10)
    buffer.settle()
    assert buffer.take() is None


def test_commands_without_end_do_not_pile_up_reports(buffer: PlayoutBuffer) -> None:
    for _ in range(1_000):
        buffer.flush()
    reports = [buffer.take() for _ in range(20)]
    assert 1 <= reports.count(Ended("flushed")) <= 4
    assert reports[-1] is None
