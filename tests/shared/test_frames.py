from shared.frames import AudioFrame, SilenceRun


def test_a_frame_is_as_long_as_its_samples() -> None:
    frame = AudioFrame("s", 1, 0, 640, 16_000, 1, bytes(2 * 320))
    assert (frame.samples, frame.end_sample) == (320, 960)


def test_silence_is_as_long_as_it_says() -> None:
    assert SilenceRun("s", 1, 0, 960, 16_000, 6_400).end_sample == 7_360
