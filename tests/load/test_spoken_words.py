from functools import cache

import numpy as np
import pytest

from pipeline_worker.engines.piper.phoneme_alignment import ends_of_words
from pipeline_worker.engines.resampling import resampled
from shared.audio import Pcm
from tests.integration.speech import heard_words
from tests.load.spoken_words import RATE, TEXT, WORDS, Compared, compared, loud_s
from tests.pipeline_worker.engines.piper.piper_voices import joe

TEXT_WORDS = ["we", "have", "warm", "bread", "and", "green", "apples"]
SENTENCE = TEXT[: TEXT.index(".") + 1]


@cache
def sentence() -> tuple[Pcm, list[int]]:
    """The first one at `RATE`, the same in every run, and where its words end."""
    voice = joe()
    phonemes = voice.phonemes(SENTENCE)
    latents = voice.encode(phonemes, 0, 1.0, noise=0.0)
    samples = voice.model.decode(latents, 0, latents.frames) * voice.gain(0) * 0.9
    passed = voice.frames_passed(phonemes, latents)
    scale = voice.model.hop * RATE / voice.config.sample_rate
    ends = ends_of_words(phonemes, [voice.phonemes(word) for word in SENTENCE.split()])
    pcm = (np.clip(samples, -1, 1) * 32_767).astype(np.int16)
    return resampled(pcm, voice.config.sample_rate, RATE), [round(passed[end or 0] * scale) for end in ends]


def test_the_words_are_distinct() -> None:
    assert len(set(WORDS)) == len(WORDS) == 42


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("", Compared(0, 0, 0, 0)),
        ("so what", Compared(0, 0, 0, 0)),
        ("we have warm", Compared(3, 0, 0, 0)),
        ("we have warm br", Compared(3, 0, 0, 0)),
        ("we have warm burn burn burn", Compared(3, 0, 0, 0)),
        ("we halve warm bread", Compared(4, 1, 0, 0)),
        ("we warm bread", Compared(4, 0, 1, 0)),
        ("we have have warm bread", Compared(4, 0, 0, 1)),
        ("we have warm bread and green apples", Compared(7, 0, 0, 0)),
        ("we have warm bread and green apples green apples", Compared(7, 0, 0, 0)),
        ("we have warm bread for our bread", Compared(4, 0, 0, 0)),
    ],
)
def test_words_are_followed_through_what_a_recogniser_makes_of_them(heard: str, expected: Compared) -> None:
    assert compared(heard.split(), TEXT_WORDS) == expected


def test_all_of_a_whole_sentence_is_understood() -> None:
    pcm, ends = sentence()
    assert compared(heard_words(pcm)) == Compared(len(ends), 0, 0, 0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_wherever_speech_is_cut_its_words_are_counted_to_within_one(share: float) -> None:
    pcm, ends = sentence()
    for word in range(2, len(ends)):
        cut = round(ends[word - 1] + share * (ends[word] - ends[word - 1]))
        found = compared(heard_words(pcm[:cut]))
        assert abs(found.understood - word) <= 1, (word, found)
        assert not found.lost + found.added


def test_a_word_that_was_repeated_or_lost_shows_in_the_duration() -> None:
    """Of one that was repeated the recogniser often says nothing."""
    pcm, ends = sentence()
    bread, fresh = ends[4:6]
    repeated = np.concatenate([pcm[:fresh], pcm[bread:]])
    lost = np.concatenate([pcm[:bread], pcm[fresh:]])
    assert compared(heard_words(lost)).lost == 1
    assert loud_s(repeated) - loud_s(pcm) > 0.2
    assert loud_s(pcm) - loud_s(lost) > 0.2
