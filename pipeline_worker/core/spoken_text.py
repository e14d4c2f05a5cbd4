"""The agent's text on its way to speech, and back: which of its words the caller has heard.

Positions are samples of the agent's own audio stream.
"""

import re
from itertools import zip_longest
from typing import NamedTuple


class Word(NamedTuple):
    """A word and where it ends, in samples from the beginning of the speech that it belongs to."""

    text: str
    end_sample: int


_MAX_SENTENCE = 240
"""Characters after which a sentence without an end is cut at a pause, so that speech need not wait for it."""
# A full stop ends a sentence when white space follows it, so that of "3.5" does not; CJK stops need none.
_SENTENCE_END = re.compile(r"(?:(?<!\b[A-Z])(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bMrs)[.!?…]+[\"'”’)]*\s)|[。！？]+|\n+")
_CHARACTERS_PER_SECOND = 15
"""A quick speaker: what a sentence is taken to last at least, while its synthesis goes on without word times."""
_PAUSE = re.compile(r"[,;:，、]\s*|\s[-–—]\s")


class SentenceCutter:
    """Cuts text that arrives in pieces into sentences, as they become whole."""

    def __init__(self) -> None:
        self._rest = ""

    def push(self, text: str) -> list[str]:
        self._rest += text
        sentences = []
        while (end := self._end_of_first()) is not None:
            sentence, self._rest = self._rest[:end].strip(), self._rest[end:]
            if sentence:
                sentences.append(sentence)
        return sentences

    def finish(self) -> list[str]:
        """No more text comes."""
        rest, self._rest = self._rest.strip(), ""
        return [rest] if rest else []

    def _end_of_first(self) -> int | None:
        if found := _SENTENCE_END.search(self._rest, 0, _MAX_SENTENCE):
            return found.end()
        if len(self._rest) < _MAX_SENTENCE:
            return None
        pauses = [pause.end() for pause in _PAUSE.finditer(self._rest, 0, _MAX_SENTENCE)]
        return pauses[-1] if pauses else (self._rest.rfind(" ", 1, _MAX_SENTENCE) + 1 or _MAX_SENTENCE)


class Heard(NamedTuple):
    text: str
    complete: bool
    """Every word of it."""


class SpokenSentence:
    """One sentence in the agent's audio, growing while it is synthesised."""

    def __init__(self, text: str, first_sample: int, sample_rate: int) -> None:
        self.text = text
        self.first_sample = first_sample
        self._least_samples = len(text) * sample_rate // _CHARACTERS_PER_SECOND
        self._samples = 0
        self._words: list[Word] = []
        self._whole = False

    def add(self, samples: int, words: tuple[Word, ...]) -> None:
        """More of its speech, and the words that begin in it."""
        self._samples += samples
        self._words += words

    def finish(self) -> None:
        """All of it is synthesised."""
        self._whole = True

    def heard(self, played_up_to: int) -> Heard:
        """The words that had ended by `played_up_to`; without word times, a share of them by length."""
        played = max(0, min(played_up_to - self.first_sample, self._samples))
        if not self._samples:
            return Heard("", self._whole)
        if self._whole and played == self._samples:
            return Heard(self.text, True)
        tokens = self.text.split()
        if not self._words:
            samples = self._samples if self._whole else max(self._samples, self._least_samples)
            return Heard(" ".join(tokens[: _share(tokens, played, samples)]), False)
        ended = [word.text for word in self._words if word.end_sample <= played]
        # The text's own spelling, with its punctuation, as far as the engine tells its words one for one.
        shown = [
            token if _bare(token) == _bare(word) else word for token, word in zip_longest(tokens, ended, fillvalue="")
        ]
        return Heard(" ".join(shown[: len(ended)]), False)


class SpokenText:
    """The sentences of one turn of the agent, spoken at `sample_rate`."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._sentences: list[SpokenSentence] = []

    def begin(self, text: str, first_sample: int) -> SpokenSentence:
        """The next sentence, whose audio begins at `first_sample`."""
        sentence = SpokenSentence(text, first_sample, self._sample_rate)
        self._sentences.append(sentence)
        return sentence

    def begun(self, played_up_to: int) -> int:
        """How many sentences the caller has heard the beginning of."""
        return sum(sentence.first_sample < played_up_to for sentence in self._sentences)

    def text(self, sentences: int) -> str:
        """The first `sentences` sentences in full."""
        return " ".join(sentence.text for sentence in self._sentences[:sentences])

    def heard(self, played_up_to: int) -> Heard:
        parts = [sentence.heard(played_up_to) for sentence in self._sentences]
        return Heard(" ".join(part.text for part in parts if part.text), all(part.complete for part in parts))


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def _share(tokens: list[str], played: int, samples: int) -> int:
    """How many of `tokens` fit wholly into `played` of `samples`, each taking time by its length."""
    characters = sum(map(len, tokens)) * played / samples
    count = 0
    for token in tokens:
        characters -= len(token)
        if characters < 0:
            break
        count += 1
    return count
