from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.hearing.talkspurts import HANGOVER_MS, SpeechEvent, TalkspurtEnded, Talkspurts, TalkspurtStarted
from pipeline_worker.turns.events import SpeechProlonged, SpeechSustained
from shared.audio import UPLINK_RATE, samples_in

CHUNK = 512
HANGOVER = samples_in(HANGOVER_MS, UPLINK_RATE)


def talkspurts(sustained_ms: int = 200) -> Talkspurts:
    return Talkspurts(CHUNK, sustained_ms)


def push(detector: Talkspurts, *probabilities: float) -> list[SpeechEvent]:
    return [event for probability in probabilities for event in detector.push(probability)]


def test_speech_begins_where_its_first_chunk_does_and_ends_where_its_last_one_did() -> None:
    detector = talkspurts()
    assert push(detector, 0.0, 0.0, 0.9, 0.9) == [TalkspurtStarted(2 * CHUNK)]
    assert detector.speaking
    assert push(detector, *[0.0] * 6) == [TalkspurtEnded(4 * CHUNK)]
    assert not detector.speaking


def test_a_probability_that_falls_slowly_does_not_lengthen_speech() -> None:
    assert push(talkspurts(), 0.9, 0.9, 0.4, *[0.0] * 6) == [TalkspurtStarted(0), TalkspurtEnded(2 * CHUNK)]


def test_one_loud_chunk_is_a_click() -> None:
    assert push(talkspurts(), 0.0, 0.99, 0.0, 0.99, 0.0) == []


def test_a_probability_that_wavers_between_the_thresholds_keeps_a_talkspurt_but_starts_none() -> None:
    detector = talkspurts(sustained_ms=10_000)
    assert push(detector, *[0.4] * 10) == []
    assert push(detector, 0.6, 0.4) == [TalkspurtStarted(10 * CHUNK)]
    assert push(detector, *[0.4] * 20) == []


def test_a_stop_consonant_does_not_end_it() -> None:
    detector = talkspurts(sustained_ms=10_000)
    push(detector, 0.9, 0.9)
    assert push(detector, *[0.0] * 5, 0.9, *[0.0] * 5) == []


def test_speech_is_sustained_once_by_its_own_length_and_not_by_the_hangover() -> None:
    detector = talkspurts(sustained_ms=200)
    assert push(detector, *[0.9] * 6, *[0.0] * 5) == [TalkspurtStarted(0)]
    assert push(detector, 0.9, 0.9) == [SpeechSustained(12 * CHUNK)]


def test_with_no_minimum_every_talkspurt_is_sustained() -> None:
    assert push(talkspurts(sustained_ms=0), 0.9, 0.9) == [TalkspurtStarted(0), SpeechSustained(2 * CHUNK)]


def test_speech_is_prolonged_once_when_it_is_longer_than_a_backchannel() -> None:
    events = push(talkspurts(), *[0.9] * 70)
    assert events == [TalkspurtStarted(0), SpeechSustained(7 * CHUNK), SpeechProlonged(32 * CHUNK)]


def test_speech_is_not_prolonged_before_it_is_sustained() -> None:
    events = push(talkspurts(sustained_ms=1500), *[0.9] * 70)
    assert events == [TalkspurtStarted(0), SpeechSustained(47 * CHUNK), SpeechProlonged(47 * CHUNK)]


def test_known_silence_ends_a_talkspurt_and_passes_time() -> None:
    detector = talkspurts()
    push(detector, 0.9, 0.9)
    assert detector.skip(HANGOVER - 1) == []
    assert detector.skip(16_000) == [TalkspurtEnded(2 * CHUNK)]
    assert detector.position == 2 * CHUNK + HANGOVER - 1 + 16_000


def test_known_silence_breaks_an_onset() -> None:
    detector = talkspurts()
    push(detector, 0.9)
    assert detector.decided_up_to == 0
    assert detector.skip(320) == []
    assert detector.decided_up_to == detector.position
    assert push(detector, 0.9, 0.0) == []


@given(st.lists(st.one_of(st.floats(0, 1), st.integers(1, 20_000)), max_size=100))
def test_talkspurts_alternate_and_lie_in_order(steps: list[float | int]) -> None:
    detector = talkspurts()
    last: SpeechEvent = TalkspurtEnded(0)
    for step in steps:
        for event in detector.skip(step) if isinstance(step, int) else detector.push(step):
            assert isinstance(event, TalkspurtStarted) is isinstance(last, TalkspurtEnded)
            assert last.at_sample <= event.at_sample <= detector.position
            last = event
    assert detector.decided_up_to <= detector.position


def test_the_detectors_delay_is_subtracted() -> None:
    detector = Talkspurts(CHUNK, 200, tail_samples=CHUNK)
    assert push(detector, 0.0, 0.9, 0.9, 0.9, *[0.0] * 6)[-1:] == [TalkspurtEnded(3 * CHUNK)]


def test_it_is_quiet_when_nothing_may_be_speech() -> None:
    detector = talkspurts()
    was_quiet = []
    for probability in (0.0, 0.9, 0.9, *[0.0] * 6):
        detector.push(probability)
        was_quiet.append(detector.quiet)
    assert was_quiet == [True, *[False] * 7, True], "neither at what may be an onset, nor in the hangover"


def test_a_talkspurt_never_ends_before_it_began() -> None:
    detector = Talkspurts(CHUNK, 200, tail_samples=10 * CHUNK)
    assert push(detector, 0.0, 0.9, 0.9, *[0.0] * 6) == [TalkspurtStarted(CHUNK), TalkspurtEnded(CHUNK)]
