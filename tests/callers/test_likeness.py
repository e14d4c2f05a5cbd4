from typing import Any

import numpy as np
import pytest

from callers.likeness import compare
from shared.audio import Pcm

RATE = 16_000
PAUSE = np.zeros(RATE, np.int16)


def speech(seed: int) -> Pcm:
    """Three seconds that sound like nothing else: noise in syllables of a quarter of a second."""
    random = np.random.default_rng(seed)
    noise = np.convolve(random.standard_normal(3 * RATE), np.ones(8) / 8, "same")
    envelope = 0.2 + np.abs(np.sin(np.arange(len(noise)) / RATE * np.pi * 4))
    return (noise * envelope * 9_000).astype(np.int16)


KNOWN = speech(1)


def joined(*parts: Any) -> Pcm:
    return np.concatenate([PAUSE[: RATE // 3], *parts, PAUSE])


def damaged(pcm: Pcm) -> Pcm:
    """As by a codec."""
    noise = np.random.default_rng(9).standard_normal(len(pcm)) * 0.5 * np.abs(pcm)
    return np.clip(pcm + noise, -32_768, 32_767).astype(np.int16)


def test_complete_sound_has_no_gaps() -> None:
    assert compare(KNOWN, joined(damaged(KNOWN)), RATE) == (1.0, [])
    assert compare(KNOWN, joined(speech(2), KNOWN, speech(3)), RATE) == (1.0, [])


def test_nothing_is_lost_by_a_pause() -> None:
    found, (gap,) = compare(KNOWN, joined(KNOWN[:20_000], PAUSE, KNOWN[20_000:]), RATE)
    assert found >= 0.9
    assert gap.at_s == pytest.approx(20_000 / RATE, abs=0.65)
    assert gap.surplus_s == pytest.approx(0, abs=0.05)


def test_a_part_that_sounds_different_is_not_lost() -> None:
    found, (gap,) = compare(KNOWN, joined(KNOWN[:20_000], speech(2)[:4_000], KNOWN[24_000:]), RATE)
    assert found < 1
    assert gap.surplus_s == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(("again_from", "surplus_s"), [(20_000 - 4_800, 0.3), (20_000 + 3_200, -0.2)])
def test_repeated_and_missing_sound_around_a_pause_is_found(again_from: int, surplus_s: float) -> None:
    found, (gap,) = compare(KNOWN, joined(KNOWN[:20_000], PAUSE, KNOWN[again_from:]), RATE)
    assert found >= 0.8
    assert gap.surplus_s == pytest.approx(surplus_s, abs=0.06)


def test_a_missing_end_or_beginning_is_found() -> None:
    _, (end,) = compare(KNOWN, joined(KNOWN[:30_000]), RATE)
    assert end.at_s == pytest.approx(1.65, abs=0.35)
    assert end.surplus_s == pytest.approx(-1.1, abs=0.1)
    _, (beginning,) = compare(KNOWN, joined(KNOWN[10_000:]), RATE)
    assert beginning.at_s == 0
    assert beginning.surplus_s == pytest.approx(-0.6, abs=0.1)


def test_words_that_are_left_out_without_a_pause_are_missing() -> None:
    found, gaps = compare(KNOWN, joined(KNOWN[:20_000], KNOWN[30_000:]), RATE)
    assert found < 0.8 or min(gap.surplus_s for gap in gaps) < -0.2


def test_other_words_are_not_found() -> None:
    assert compare(KNOWN, joined(speech(2)), RATE).found == 0
    assert compare(KNOWN, PAUSE[:100], RATE).found == 0
