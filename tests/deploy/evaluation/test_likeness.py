from typing import Any

import numpy as np
import pytest

from deploy.evaluation.likeness import compare
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


def test_what_was_heard_whole_has_nothing_lost_and_no_cuts() -> None:
    assert compare(KNOWN, joined(damaged(KNOWN)), RATE) == ([], [])


def test_nothing_is_lost_by_a_pause() -> None:
    lost_s, (cut,) = compare(KNOWN, joined(KNOWN[:20_000], PAUSE, KNOWN[20_000:]), RATE)
    assert len(lost_s) <= 1
    assert cut.at_s == pytest.approx(20_000 / RATE, abs=0.35)
    assert cut.surplus_s == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(("again_from", "surplus_s"), [(20_000 - 4_800, 0.3), (20_000 + 3_200, -0.2)])
def test_what_is_said_twice_or_not_at_all_around_a_pause_is_found(again_from: int, surplus_s: float) -> None:
    lost_s, (cut,) = compare(KNOWN, joined(KNOWN[:20_000], PAUSE, KNOWN[again_from:]), RATE)
    assert len(lost_s) <= 1
    assert cut.surplus_s == pytest.approx(surplus_s, abs=0.06)


def test_words_that_are_left_out_without_a_pause_are_lost() -> None:
    lost_s, _ = compare(KNOWN, joined(KNOWN[:20_000], KNOWN[30_000:]), RATE)
    assert len(lost_s) > 2


def test_an_end_that_never_came_is_lost_and_so_is_everything_else_in_other_words() -> None:
    lost_s, _ = compare(KNOWN, joined(KNOWN[:30_000]), RATE)
    assert min(lost_s) > 1.5
    assert len(compare(KNOWN, joined(speech(2)), RATE).lost_s) == 10
    assert len(compare(KNOWN, PAUSE[:100], RATE).lost_s) == 10
