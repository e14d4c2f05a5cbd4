import numpy as np
import pytest

from pipeline_worker.engines.resampling import Resampler, resampled
from shared.audio import Pcm

RATES = [(22_050, 24_000), (24_000, 16_000), (44_100, 48_000)]


def tone(samples: int, rate: int) -> Pcm:
    wave: Pcm = (10_000 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)).astype(np.int16)
    return wave


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("samples", [0, 1, 2, 100, 22_051, 100_001])
def test_no_sample_is_lost_or_invented(from_rate: int, to_rate: int, samples: int) -> None:
    assert len(resampled(tone(samples, from_rate), from_rate, to_rate)) == round(samples * to_rate / from_rate)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_pieces_are_the_same_as_the_whole(from_rate: int, to_rate: int) -> None:
    whole = tone(30_000, from_rate)
    resampler = Resampler(from_rate, to_rate)
    pieces = [resampler.push(whole[first : first + 777]) for first in range(0, len(whole), 777)]
    joined = np.concatenate([*pieces, resampler.flush()])
    # The last bit is dithered.
    assert np.abs(joined.astype(int) - resampled(whole, from_rate, to_rate)).max() <= 4


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_a_tone_keeps_its_place_and_its_end(from_rate: int, to_rate: int) -> None:
    got = resampled(tone(from_rate, from_rate), from_rate, to_rate).astype(int)
    assert np.abs(got - tone(to_rate, to_rate))[100:-100].max() < 10
    assert np.abs(got[-20:]).max() > 1000


def test_full_scale_is_clipped_and_does_not_wrap_around() -> None:
    square = np.where(np.arange(4000) % 200 < 100, 32767, -32768).astype(np.int16)
    got = resampled(square, 22_050, 24_000).astype(int)
    assert np.abs(np.diff(got)).max() < 65_000
    assert got.max() == 32767
