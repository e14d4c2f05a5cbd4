from media_worker.core.recent_frames import RecentFrames
from shared.frames import AudioFrame, SilenceRun


def sound(n: int) -> AudioFrame:
    return AudioFrame("s1", 1, n, n * 320, 16_000, 1, bytes(640))


def silence(n: int, samples: int = 320) -> SilenceRun:
    return SilenceRun("s1", 1, n, n * 320, 16_000, samples)


def test_sound_of_the_last_five_seconds_is_kept() -> None:
    recent = RecentFrames()
    for n in range(400):
        recent.add(sound(n))
    assert [frame.seq for frame in recent.since(0)] == list(range(150, 400))


def test_what_the_worker_has_heard_is_left_out() -> None:
    recent = RecentFrames()
    for n in range(10):
        recent.add(sound(n))
    assert [frame.seq for frame in recent.since(5 * 320)] == [5, 6, 7, 8, 9]
    assert [frame.seq for frame in recent.since(5 * 320 + 1)] == [5, 6, 7, 8, 9], "it cuts off what it knows"
    assert list(recent.since(10 * 320)) == []


def test_silence_of_any_length_is_one_run_and_ends_what_is_kept() -> None:
    recent = RecentFrames()
    recent.add(sound(0))
    for n in range(1, 251):
        recent.add(silence(n))
    assert list(recent.since(0)) == [sound(0), SilenceRun("s1", 1, 250, 320, 16_000, 250 * 320)]
    recent.add(silence(251))
    assert list(recent.since(0)) == [SilenceRun("s1", 1, 251, 320, 16_000, 251 * 320)], "sound of five seconds ago"
    recent.add(sound(252))
    assert list(recent.since(200 * 320)) == [SilenceRun("s1", 1, 251, 200 * 320, 16_000, 52 * 320), sound(252)]
