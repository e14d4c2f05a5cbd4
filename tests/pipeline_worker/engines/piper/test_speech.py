"""The sound of the shipped voice."""

from itertools import pairwise

import numpy as np
import pytest

from pipeline_worker.engines.piper.speech import Speech
from tests.pipeline_worker.engines.piper.piper_voices import joe, made

RATE = 22_050
FRAME = 256
TEXT = "Good evening, we have a table for four people at seven on Friday, and one for two at nine."


def speech_of(text: str, length_scale: float = 1.0) -> Speech:
    return Speech(joe(), text, None, length_scale)


def energy(samples: np.ndarray) -> np.ndarray:
    """RMS of each 10 ms."""
    blocks = samples[: len(samples) // 220 * 220].reshape(-1, 220).astype(float)
    return np.asarray(np.sqrt(np.mean(blocks**2, axis=1)))


def test_the_first_slice_is_short_and_none_is_tiny() -> None:
    slices = made(speech_of(TEXT))
    seconds = [len(one) / RATE for one in slices]
    assert len(slices) > 4
    assert 0.35 < seconds[0] < 0.52
    assert all(0.45 < length < 1.55 for length in seconds[1:])


def test_a_short_text_is_one_slice() -> None:
    assert len(made(speech_of("Yes."))) <= 2


def test_it_lasts_as_long_as_people_take() -> None:
    """Lengths vary a little, because the voice draws the length of each sound at random."""

    def lasts(length_scale: float) -> float:
        return (
            float(np.mean([sum(map(len, made(speech_of(TEXT, length_scale=length_scale)))) for _ in range(4)])) / RATE
        )

    usual = lasts(1.0)
    assert 4.0 < usual < 7.0
    assert 1.25 < lasts(1.5) / usual < 1.75


def test_slices_join_without_a_click() -> None:
    """At a border, the sound changes no more abruptly than around it."""
    slices = made(speech_of(TEXT))
    whole = np.concatenate(slices).astype(float)
    bend = np.abs(np.diff(whole, 2))
    for border in np.cumsum([len(one) for one in slices])[:-1]:
        around = bend[border - 500 : border + 500]
        assert bend[border - 3 : border + 3].max() <= 3 * np.percentile(around, 99) + 30


def test_it_begins_soon_is_loud_enough_and_does_not_clip() -> None:
    for text in ("Okay, great!", "Are you sure?", TEXT):
        whole = np.concatenate(made(speech_of(text))).astype(int)
        level = np.abs(whole)
        assert np.flatnonzero(level > 65)[0] <= 0.031 * RATE
        assert 12_000 < level.max() < 32_767
        assert 800 < np.sqrt(np.mean(whole.astype(float) ** 2)) < 5_000


def test_loudness_does_not_jump_between_sentences() -> None:
    texts = ("We are open from nine to five.", "The table is booked.", "What are you looking for today?", TEXT)
    levels = [np.sqrt(np.mean(np.concatenate(made(speech_of(text))).astype(float) ** 2)) for text in texts]
    assert max(levels) / min(levels) < 2


@pytest.mark.parametrize(
    "text", ["At 7:30 - on the 21st.", "It is - so to say - twenty, out of the one hundred.", "Hello", "- a -", TEXT]
)
def test_every_word_of_the_text_has_its_end_within_the_speech(text: str) -> None:
    speech = speech_of(text)
    length = sum(map(len, made(speech)))
    ends = speech.word_ends
    assert len(ends) == len(text.split())
    assert ends == sorted(ends)
    assert ends[0] >= 0
    assert 0 < ends[-1] <= length


def test_a_word_ends_where_its_sound_ends() -> None:
    """Between words with a pause after each, the pause begins there and the next word sounds after it."""
    text = "Monday, Wednesday, Saturday."
    speech = speech_of(text)
    whole = np.concatenate(made(speech))
    loud = energy(whole) > 0.1 * energy(whole).max()
    ends = [end // 220 for end in speech.word_ends]
    for end in ends:
        assert loud[end - 15 : end].any(), "sound before the end"
        assert not loud[end + 4 : end + 8].all(), "a pause after it"
    for end, next_end in pairwise(ends):
        assert loud[end:next_end].sum() > 15, "the next word is between its own ends"
    assert not loud[ends[-1] + 8 :].any()


def test_a_longer_word_takes_longer() -> None:
    speech = speech_of("The responsibility is his.")
    made(speech)
    lasting = np.diff([0, *speech.word_ends])
    assert lasting.argmax() == 1


@pytest.mark.parametrize("text", ["-", "...", ""])
def test_a_text_without_a_sound_is_one_slice(text: str) -> None:
    assert len(made(speech_of(text))) == 1


def test_it_begins_before_it_speaks() -> None:
    speech = speech_of("Hello")
    assert not speech.begun
    with pytest.raises(ValueError, match="call begin first"):
        speech.next_slice()
    speech.begin()
    assert speech.begun
