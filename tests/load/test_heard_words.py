import pytest

from callers.recording import Recording
from tests.load.heard_words import HeardWord, heard_words, silences
from tests.load.tone_words import GAP_S, TONE_S, speak, text_of

RATE = 16_000
WORD_S = TONE_S + GAP_S


def recorded(began_s: float, gap_before_word: int, gap_s: float) -> Recording:
    """Six words, and a gap before one of them."""
    pcm, _ = speak(text_of(6), RATE)
    at = round(gap_before_word * WORD_S * RATE)
    recording = Recording(RATE)
    recording.add(0.0, pcm[:at], began_s)
    recording.add(at / RATE + gap_s, pcm[at:], began_s + at / RATE + gap_s)
    return recording


def test_a_gap_between_words_is_a_silence_from_when_the_next_word_was_due() -> None:
    words = heard_words(recorded(100.0, 4, 1.5), RATE)
    assert [word.text for word in words] == ["w0", "w1", "w2", "w3", "w4", "w5"]
    (gap,) = [gap for gap in silences(words, 100.0) if gap[1] - gap[0] > 0.05]
    assert gap == pytest.approx((100.0 + 4 * WORD_S, 100.0 + 4 * WORD_S + 1.5), abs=0.02)


def test_a_reply_that_comes_late_or_breaks_off_is_a_silence_too() -> None:
    words = [HeardWord("w0", 12.0)]
    assert silences(words, 11.0, 15.0) == [(11.0, 12.0), (12.0 + WORD_S, 15.0)]
    assert silences([], 11.0, 15.0) == [(11.0, 15.0)]
    assert silences(words, 12.5) == [], "a word before it was due is no silence"
