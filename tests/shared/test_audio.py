import math

import numpy as np
import pytest

from shared.audio import OPUS_RATES, as_samples, duration_ms, fade_out, level_dbfs, samples_in


@pytest.mark.parametrize("rate", OPUS_RATES)
def test_a_frame_has_whole_samples_at_every_opus_rate(rate: int) -> None:
    assert samples_in(20, rate) == rate // 50
    assert duration_ms(samples_in(20, rate), rate) == 20


def test_bytes_are_little_endian_samples() -> None:
    assert as_samples(b"\x01\x00\x00\x80").tolist() == [1, -32768]


def test_the_level_of_a_full_scale_sine_is_3_db_below_a_full_scale_square() -> None:
    sine = (32767 * np.sin(2 * math.pi * np.arange(16_000) / 100)).astype(np.int16)
    assert level_dbfs(np.full(160, -32768, np.int16)) == 0
    assert level_dbfs(sine) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("samples", [np.zeros(320, np.int16), np.zeros(0, np.int16)])
def test_silence_has_no_level(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    assert level_dbfs(samples) == -math.inf


def test_a_fade_begins_at_full_level_and_ends_at_zero_without_a_jump() -> None:
    faded = fade_out(np.full(240, 10_000, np.int16))
    assert (faded[0], faded[-1], faded.dtype) == (10_000, 0, np.dtype("<i2"))
    assert np.abs(np.diff(faded.astype(int))).max() < 50


def test_an_empty_array_can_be_faded() -> None:
    assert len(fade_out(np.zeros(0, np.int16))) == 0
