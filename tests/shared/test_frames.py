import pytest

from shared.frames import AudioFrame, SilenceRun


@pytest.mark.parametrize("channels", [1, 2])
def test_positions_count_samples_per_channel(channels: int) -> None:
    frame = AudioFrame("s", 1, 0, 640, 16_000, channels, bytes(2 * channels * 320))
    assert (frame.samples, frame.end_sample) == (320, 960)


def test_silence_is_as_long_as_it_says() -> None:
    assert SilenceRun("s", 1, 0, 960, 16_000, 6_400).end_sample == 7_360
