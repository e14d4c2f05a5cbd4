"""Talkspurts from push to take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.playout import MAX_BUFFERED_MS, Ended, Frame, PlayoutBuffer
from shared.audio import as_samples
from tests.media_worker.core.playout_samples import FRAME, RATE, as_ramp, frame_of, pcm_of, play_until, ramp


@pytest.fixture
def buffer() -> PlayoutBuffer:
    return PlayoutBuffer(RATE, cushion_ms=40)


def test_nothing_plays_before_the_cushion_is_there(buffer: PlayoutBuffer) -> None:
    assert buffer.push(0, ramp(0, 2 * FRAME - 1))
    assert buffer.state == "filling"
    assert buffer.take() is None
    assert not buffer.push(2 * FRAME - 1, ramp(2 * FRAME - 1, 1))
    frame = frame_of(buffer.take())
    assert frame.starts_talkspurt
    assert as_samples(frame.pcm).tolist() == as_ramp(0, FRAME)
    assert not frame_of(buffer.take()).starts_talkspurt


def test_a_known_end_needs_no_cushion_and_fills_the_last_frame_with_silence(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, FRAME + 10))
    buffer.end_talkspurt()
    assert pcm_of(buffer.take()).tolist() == as_ramp(0, FRAME)
    assert pcm_of(buffer.take()).tolist() == as_ramp(FRAME, 10) + [0] * (FRAME - 10)
    assert buffer.played_up_to == FRAME + 10
    assert buffer.take() == Ended("finished")
    assert buffer.take() is None
    assert buffer.state == "idle"
    assert buffer.underruns == 0


def test_a_talkspurt_that_runs_dry_waits_for_a_new_cushion(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 2 * FRAME + 7))
    assert [type(buffer.take()) for _ in range(3)] == [Frame, Frame, type(None)]
    assert buffer.underruns == 1
    assert buffer.played_up_to == 2 * FRAME
    buffer.push(2 * FRAME + 7, ramp(2 * FRAME + 7, FRAME))
    assert buffer.take() is None
    assert buffer.underruns == 1
    buffer.push(3 * FRAME + 7, ramp(3 * FRAME + 7, FRAME))
    frame = frame_of(buffer.take())
    assert frame.starts_talkspurt, "the first packet after a gap carries the marker"
    assert as_samples(frame.pcm).tolist() == as_ramp(2 * FRAME, FRAME)


def test_an_end_after_the_last_sample_was_played_is_reported(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 2 * FRAME))
    buffer.take(), buffer.take(), buffer.take()
    assert buffer.underruns == 1
    buffer.end_talkspurt()
    assert buffer.take() == Ended("finished")


def test_an_end_without_audio_is_reported(buffer: PlayoutBuffer) -> None:
    buffer.end_talkspurt()
    assert buffer.take() == Ended("finished")


def test_a_talkspurt_whose_tail_was_lost_still_ends(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, FRAME))
    buffer.end_talkspurt()  # the pipeline counts one frame more, which the broker lost
    assert play_until(buffer, ends="finished") == as_ramp(0, FRAME)


def test_a_new_talkspurt_behind_one_whose_end_is_known_joins_it(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, FRAME))
    buffer.end_talkspurt()
    assert not buffer.push(FRAME, ramp(FRAME, FRAME))
    buffer.end_talkspurt()
    assert play_until(buffer, ends="finished") == as_ramp(0, 2 * FRAME)


def test_a_repeated_batch_is_dropped(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 3 * FRAME))
    buffer.push(0, ramp(0, 3 * FRAME))
    buffer.push(FRAME, ramp(FRAME, FRAME))
    assert buffer._buffered == 3 * FRAME


def test_repeated_audio_starts_no_talkspurt(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, FRAME))
    buffer.end_talkspurt()
    play_until(buffer, ends="finished")
    assert not buffer.push(0, ramp(0, FRAME))
    assert buffer.state == "idle"


def test_of_a_piece_that_overlaps_only_the_new_part_plays(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 3 * FRAME))
    buffer.push(2 * FRAME, ramp(2 * FRAME, 3 * FRAME))
    buffer.end_talkspurt()
    assert play_until(buffer, ends="finished") == as_ramp(0, 5 * FRAME)


def test_a_hole_is_closed_up_and_positions_stay_true(buffer: PlayoutBuffer) -> None:
    buffer.push(0, ramp(0, 2 * FRAME))
    buffer.push(7 * FRAME, ramp(7 * FRAME, 2 * FRAME))
    buffer.end_talkspurt()
    heard = []
    for _ in range(4):
        buffer.take()
        heard.append(buffer.played_up_to // FRAME)
    assert heard == [1, 2, 8, 9], "before the hole is reached nothing behind it was heard"


def test_a_position_that_jumps_between_talkspurts_is_not_a_hole(buffer: PlayoutBuffer) -> None:
    buffer.push(50_000, ramp(50_000, 2 * FRAME))
    buffer.take()
    assert buffer.played_up_to == 50_000 + FRAME


def test_ten_seconds_are_kept_and_no_more(buffer: PlayoutBuffer) -> None:
    limit = MAX_BUFFERED_MS * RATE // 1000
    for first in range(0, 2 * limit, FRAME):
        buffer.push(first, ramp(first, FRAME))
    assert buffer._buffered == limit
    assert buffer.overflowed == limit
    buffer.end_talkspurt()
    assert play_until(buffer, ends="finished") == as_ramp(0, limit)


pieces = st.lists(st.integers(1, 5 * FRAME), min_size=1, max_size=12)


@given(pieces, st.lists(st.integers(0, 3), max_size=60))
def test_whatever_the_pieces_pauses_and_delays_every_sample_plays_once_and_in_order(
    sizes: list[int], moves: list[int]
) -> None:
    """Bit-exact, but for the fades, which come in frames of their own."""
    buffer = PlayoutBuffer(RATE)
    heard: list[int] = []
    sent = 0
    paused = fading = False
    waiting = list(sizes)

    def take() -> None:
        nonlocal fading
        taken = buffer.take()
        if isinstance(taken, Frame):
            if fading:
                fading = False
                return
            heard.extend(sample for sample in as_samples(taken.pcm).tolist() if sample)
            assert buffer.played_up_to == len(heard)
        elif taken is not None:
            assert taken.state == "paused"

    for move in moves:
        if move == 0 and waiting:
            size = waiting.pop(0)
            buffer.push(sent, ramp(sent, size))
            sent += size
        elif move == 1 and not paused:
            fading = fading or buffer.state == "playing"
            paused = buffer.state in ("playing", "filling")
            buffer.pause()
        elif move == 2:
            paused = False
            buffer.resume()
        else:
            take()
    buffer.resume()
    for size in waiting:
        buffer.push(sent, ramp(sent, size))
        sent += size
    if fading:
        buffer.take()
    if sent:
        buffer.end_talkspurt()
    for _ in range(2_000):
        taken = buffer.take()
        if taken == Ended("finished"):
            break
        if isinstance(taken, Frame):
            heard.extend(sample for sample in as_samples(taken.pcm).tolist() if sample)
    assert heard == as_ramp(0, sent)
    assert buffer.played_up_to == sent


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.integers(0, 60 * FRAME), st.integers(0, 6 * FRAME)),
            st.tuples(st.sampled_from(["end", "flush", "pause", "resume", "take", "take"])),
        ),
        max_size=60,
    )
)
def test_any_order_of_commands_keeps_the_counters_consistent(commands: list[tuple[str, int, int] | tuple[str]]) -> None:
    buffer = PlayoutBuffer(RATE)
    for command in commands:
        before = buffer.played_up_to
        match command:
            case ("push", first, samples):
                buffer.push(first, ramp(first, samples))
            case ("end",):
                buffer.end_talkspurt()
            case ("flush",):
                buffer.flush()
            case ("pause",):
                buffer.pause()
            case ("resume",):
                buffer.resume()
            case _:
                taken = buffer.take()
                assert not isinstance(taken, Frame) or len(taken.pcm) == 2 * FRAME
        assert buffer.played_up_to >= before
        assert 0 <= buffer._buffered <= MAX_BUFFERED_MS * RATE // 1000
        assert buffer.state != "idle" or buffer._buffered == 0
