from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.core.speaker_pauses import SpeakerPauses


def test_of_a_caller_who_has_not_paused_the_least_is_expected() -> None:
    assert SpeakerPauses().endpointing(8_000, 24_000) == 8_000


def test_the_silence_is_half_as_long_again_as_the_usual_pause() -> None:
    pauses = SpeakerPauses()
    pauses.add(10_000)
    assert pauses.endpointing(8_000, 24_000) == 15_000
    pauses.add(0)
    assert pauses.endpointing(8_000, 24_000) == 10_500


@given(st.lists(st.integers(0, 100_000)), st.integers(1, 1000), st.integers(1000, 2000))
def test_it_stays_between_its_bounds(samples: list[int], least: int, most: int) -> None:
    pauses = SpeakerPauses()
    for pause in samples:
        pauses.add(pause)
    assert least <= pauses.endpointing(least, most) <= most
