import numpy as np
import pytest

from callers.recording import Recording, Span, loud_span
from shared.audio import Pcm

RATE = 16_000
FRAME = RATE // 50
BEGAN_S = 100.0


def tone(seconds: float) -> Pcm:
    return (8_000 * np.sin(np.arange(round(seconds * RATE)) / 3)).astype(np.int16)


def silence(seconds: float) -> Pcm:
    return np.zeros(round(seconds * RATE), np.int16)


def heard(*parts: Pcm, late_s: float = 0.0) -> Recording:
    """What comes in frames of 20 ms; every third one comes `late_s` late."""
    line = Recording(RATE)
    pcm = np.concatenate(parts)
    for index, at in enumerate(range(0, len(pcm), FRAME)):
        delay_s = late_s if index % 3 else 0.0
        line.add(at / RATE, pcm[at : at + FRAME], BEGAN_S + at / RATE + delay_s)
    return line


def test_the_span_of_speech_leaves_out_the_silence_around_it() -> None:
    span = loud_span(np.concatenate([silence(0.5), tone(0.25), silence(0.2), tone(0.1), silence(1)]), RATE)
    assert (span.onset_s, span.end_s) == pytest.approx((0.5, 1.05))
    assert loud_span(silence(0.5), RATE) == Span(0.0, 0.5)


def test_times_are_those_of_the_audio_however_late_some_packets_come() -> None:
    line = heard(silence(0.2), tone(0.4), silence(0.6), tone(0.2), late_s=0.15)
    assert line.first_after(BEGAN_S) == pytest.approx(BEGAN_S + 0.2)
    assert line.onset_after(BEGAN_S + 0.3) == pytest.approx(BEGAN_S + 1.2)
    assert line.first_after(BEGAN_S + 0.3) == pytest.approx(BEGAN_S + 0.3)
    assert line.first_after(BEGAN_S + 2) is None
    assert line.onset_after(BEGAN_S + 1.3) is None
    assert line.sound_s(BEGAN_S + 0.5) == pytest.approx(0.3)


def test_a_pause_between_words_is_no_end_and_no_beginning() -> None:
    line = heard(tone(0.4), silence(0.15), tone(0.4))
    assert line.onset_after(BEGAN_S + 0.1) is None
    assert line.silent_from(BEGAN_S, BEGAN_S + 2, for_s=0.4) == pytest.approx(BEGAN_S + 0.95)
    (span,) = line.spans()
    assert span == pytest.approx((BEGAN_S, BEGAN_S + 0.95))


def test_silence_counts_once_it_has_lasted() -> None:
    line = heard(tone(0.5))
    assert line.silent_from(BEGAN_S, BEGAN_S + 0.8, for_s=0.4) is None
    assert line.silent_from(BEGAN_S, BEGAN_S + 0.91, for_s=0.4) == pytest.approx(BEGAN_S + 0.5)
    assert line.silent_from(BEGAN_S + 0.7, BEGAN_S + 1.2, for_s=0.4) == pytest.approx(BEGAN_S + 0.7)


def test_an_agent_that_goes_on_later_was_silent_before() -> None:
    line = heard(tone(0.3), silence(0.7), tone(0.3))
    assert line.silent_from(BEGAN_S + 0.1, BEGAN_S + 5, for_s=0.4) == pytest.approx(BEGAN_S + 0.3)
    assert len(line.spans()) == 2


def test_a_stretch_that_was_not_sent_is_silence() -> None:
    line = Recording(RATE)
    line.add(0.0, tone(0.02), BEGAN_S)
    line.add(0.5, tone(0.02), BEGAN_S + 0.5)
    assert len(line.samples()) == round(0.52 * RATE)
    assert not line.samples()[FRAME : RATE // 2].any()
    assert len(Recording(RATE).samples()) == 0
