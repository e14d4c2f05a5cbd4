import numpy as np
import pytest

from pipeline_worker.engines.utterance.sound import FRAME_BYTES, powers, quietest, sounding

SAMPLES = FRAME_BYTES // 2


def noise(frames: int, level: float, seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(0, level, frames * SAMPLES)


def powers_of(*parts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return powers(np.concatenate(parts).clip(-32768, 32767).astype("<i2").tobytes())


def test_only_whole_frames_have_a_power() -> None:
    assert powers(np.full(SAMPLES * 2 + 7, 10, dtype="<i2").tobytes()).tolist() == [100, 100]
    assert len(powers(b"")) == 0


@pytest.mark.parametrize("room", [0, 20, 300])
@pytest.mark.parametrize("voice", [2_000, 10_000])
def test_a_voice_is_found_in_a_room_s_noise(room: float, voice: float) -> None:
    assert sounding(powers_of(noise(15, room), noise(40, voice), noise(20, room))) == (15, 55)


def test_a_soft_end_belongs_to_the_sound() -> None:
    assert sounding(powers_of(noise(15, 20), noise(40, 5_000), noise(10, 60), noise(20, 20))) == (15, 65)


def test_a_pause_within_is_part_of_it() -> None:
    assert sounding(powers_of(noise(10, 20), noise(20, 5_000), noise(30, 20), noise(5, 5_000), noise(9, 20))) == (
        10,
        65,
    )


def test_a_voice_without_a_pause_is_all_sound() -> None:
    assert sounding(powers_of(noise(50, 5_000))) == (0, 50)


def test_in_a_noise_as_loud_as_the_speaker_all_is_sound() -> None:
    assert sounding(powers_of(noise(15, 3_000), noise(40, 6_000), noise(20, 3_000))) == (0, 75)


def test_digital_silence_does_not_make_the_room_a_sound() -> None:
    zeros = np.zeros(30 * SAMPLES)
    assert sounding(powers_of(zeros, noise(10, 40), noise(40, 5_000), noise(10, 40), zeros)) == (40, 80)


@pytest.mark.parametrize("frames", [0, 1, 3, 50])
def test_in_silence_there_is_no_sound(frames: int) -> None:
    assert sounding(powers_of(noise(frames, 0))) is None
    assert sounding(powers_of(noise(frames, 4))) is None


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_sound_may_be_shorter_than_a_moment(frames: int) -> None:
    assert sounding(powers_of(noise(frames, 5_000))) == (0, frames)


def test_the_quietest_moment_is_found() -> None:
    assert quietest(powers_of(noise(20, 5_000), noise(5, 20), noise(30, 5_000), noise(3, 20))) == 22
