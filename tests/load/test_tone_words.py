import numpy as np
import pytest

from media_worker.opus import Decoder, Encoder
from tests.load.tone_words import WORDS, Account, account, name, numbers, speak, text_of, words_in

RATE = 16_000


def test_every_word_is_read_back_through_the_codec() -> None:
    text = " ".join(name(number) for number in range(WORDS))
    pcm, words = speak(text, 24_000)
    assert [word.text for word in words] == text.split()
    encoder, decoder = Encoder(24_000, 32_000, 5), Decoder()
    heard = b"".join(
        decoder.decode(encoder.encode(pcm[at : at + 480].tobytes())) for at in range(0, len(pcm) - 480, 480)
    )
    assert [word.text for word in words_in(np.frombuffer(heard, np.int16), RATE)] == text.split()


@pytest.mark.parametrize(("share", "heard"), [(0.3, []), (0.8, ["w7"])])
def test_a_word_cut_off_early_was_not_heard(share: float, heard: list[str]) -> None:
    pcm, words = speak("w7 w8", RATE)
    assert [word.text for word in words_in(pcm[: int(words[0].end_sample * share)], RATE)] == heard


def test_numbers_are_read_from_any_text() -> None:
    assert numbers("Well, w3 w255. And w0!") == [3, 255, 0]
    assert words_in(np.zeros(RATE, np.int16), RATE) == []


def test_a_word_that_was_paused_and_resumed_is_one_word() -> None:
    pcm, words = speak("w7 w8", RATE)
    middle = words[0].end_sample // 2
    paused = np.concatenate([pcm[:middle], np.zeros(RATE // 50, np.int16), pcm[middle - 80 :]])
    assert [word.text for word in words_in(paused, RATE)] == ["w7", "w8"]


@pytest.mark.parametrize("number", [7, 53, 200])
def test_a_word_is_read_right_however_long_it_was_paused(number: int) -> None:
    pcm, words = speak(name(number), RATE)
    middle = words[0].end_sample // 2
    for silence in range(80, RATE // 40, 7):
        paused = np.concatenate([pcm[:middle], np.zeros(silence, np.int16), pcm[middle:]])
        assert [word.text for word in words_in(paused, RATE)] == [name(number)]


def test_lost_doubled_and_strange_words_are_counted() -> None:
    text = text_of(6)
    assert text == "w0 w1 w2 w3. w4 w5."
    assert account(text, ["w0", "w1", "w2", "w3", "w4", "w5"]) == Account(0, 0, 0)
    assert account(text, ["w0", "w1", "w1", "w9", "w4"]) == Account(3, 1, 1)
