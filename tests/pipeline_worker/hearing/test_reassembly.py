from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.hearing.reassembly import Reassembly, Silence, Sound, Stretch
from shared.frames import AudioFrame, SilenceRun


def frame(seq: int, first_sample: int, samples: int = 320) -> AudioFrame:
    pcm = b"".join(((first_sample + i) % 65536).to_bytes(2, "little") for i in range(samples))
    return AudioFrame("s", 1, seq, first_sample, 16_000, 1, pcm)


def run(seq: int, first_sample: int, samples: int) -> SilenceRun:
    return SilenceRun("s", 1, seq, first_sample, 16_000, samples)


def length(stretch: Stretch) -> int:
    return stretch.samples if isinstance(stretch, Silence) else len(stretch.pcm) // 2


def test_frames_follow_one_another() -> None:
    reassembly = Reassembly()
    assert reassembly.accept(frame(0, 0)) == [Sound(0, frame(0, 0).pcm)]
    assert reassembly.accept(run(1, 320, 1000)) == [Silence(320, 1000)]
    assert reassembly.accept(frame(2, 1320)) == [Sound(1320, frame(2, 1320).pcm)]
    assert reassembly.position == 1640


def test_a_gap_is_silence() -> None:
    reassembly = Reassembly()
    reassembly.accept(frame(0, 0))
    assert reassembly.accept(frame(5, 1600)) == [Silence(320, 1280), Sound(1600, frame(5, 1600).pcm)]


def test_a_session_that_began_elsewhere_begins_here_without_a_gap() -> None:
    reassembly = Reassembly()
    assert reassembly.accept(frame(900, 288_000)) == [Sound(288_000, frame(900, 288_000).pcm)]


def test_repeated_and_late_frames_are_dropped() -> None:
    reassembly = Reassembly()
    reassembly.accept(frame(0, 0))
    reassembly.accept(frame(3, 960))
    assert reassembly.accept(frame(3, 960)) == []
    assert reassembly.accept(frame(2, 640)) == []
    assert reassembly.accept(frame(4, 640)) == []


def test_audio_that_overlaps_the_past_is_cut_off() -> None:
    reassembly = Reassembly()
    reassembly.accept(frame(0, 0))
    assert reassembly.accept(frame(1, 160)) == [Sound(320, frame(1, 160).pcm[320:])]
    assert reassembly.accept(run(2, 400, 200)) == [Silence(480, 120)]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5000), st.integers(1, 400), st.booleans()), max_size=30))
def test_stretches_have_no_gap_and_no_overlap(items: list[tuple[int, int, int, bool]]) -> None:
    reassembly = Reassembly()
    position = None
    for seq, first_sample, samples, sound in items:
        item = frame(seq, first_sample, samples) if sound else run(seq, first_sample, samples)
        for stretch in reassembly.accept(item):
            assert position is None or stretch.first_sample == position
            assert length(stretch) > 0
            position = stretch.first_sample + length(stretch)
    assert reassembly.position == position


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 2)), max_size=20))
def test_the_short_way_for_the_next_frame_gives_what_the_long_way_gives(
    items: list[tuple[int, int, int]],
) -> None:
    shortened, usual = Reassembly(), Reassembly()
    for seq, place, frames in items:
        item = frame(seq, place * 320, frames * 320)
        expected = usual.accept(item)
        if shortened.accept_next(item):
            assert expected == [Sound(item.first_sample, item.pcm)]
        else:
            assert shortened.accept(item) == expected
        assert shortened.position == usual.position
