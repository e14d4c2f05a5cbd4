"""The agent's text on its way to speech, and back: which of its words the caller has heard.

Positions are samples of the agent's own audio stream.
"""

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from pipeline_worker.engines.protocols import Word
from pipeline_worker.text.normalization import normalize
from pipeline_worker.text.word_alignment import estimated_ends, slow_samples, words_ended


class Heard(NamedTuple):
    text: str
    complete: bool
    """Every word was heard."""


class SpokenSentence:
    """One sentence in the agent's audio, which grows while it is synthesised. The voice gets `spoken`."""

    def __init__(self, text: str, language: str, first_sample: int, sample_rate: int) -> None:
        pairs = normalize(text, language)
        self.text = text
        self.spoken = " ".join(pair.spoken for pair in pairs)
        self._written = [pair.written for pair in pairs]
        self._said = self.spoken.split()
        self._said_until = list(accumulate(len(pair.spoken.split()) for pair in pairs))
        self._first_sample = first_sample
        # The least length that is assumed while the sentence is synthesised without word times.
        self._least_samples = slow_samples(self.spoken, sample_rate)
        self._samples = 0
        self._words: list[Word] = []
        self._whole = False

    def add(self, samples: int, words: tuple[Word, ...]) -> None:
        """Add speech, and the words that begin in it."""
        self._samples += samples
        self._words += words

    def finish(self) -> None:
        """All of it is synthesised."""
        self._whole = True

    def heard(self, played_up_to: int) -> Heard:
        """The words of the text whose speech had ended by `played_up_to`.

        "$5", spoken as "5 dollars", counts as heard once both words have ended.
        """
        played = max(0, min(played_up_to - self._first_sample, self._samples))
        if not self._samples:
            return Heard("", self._whole)
        if self._whole and played == self._samples:
            return Heard(self.text, True)
        if self._words:
            ended = sum(word.end_sample <= played for word in self._words)
            said = words_ended(self._said, [word.text for word in self._words], ended, self._whole)
        else:
            samples = self._samples if self._whole else max(self._samples, self._least_samples)
            said = bisect_right(estimated_ends(self._said, samples), played)
        return Heard(" ".join(self._written[: bisect_right(self._said_until, said)]), False)


class SpokenText:
    """The sentences of one turn of the agent, spoken at `sample_rate` by a voice of `language`."""

    def __init__(self, sample_rate: int, language: str) -> None:
        self._sample_rate = sample_rate
        self._language = language
        self._sentences: list[SpokenSentence] = []

    def begin(self, text: str, first_sample: int) -> SpokenSentence:
        """The next sentence, whose audio begins at `first_sample`. It has no audio if its `spoken` is empty."""
        sentence = SpokenSentence(text, self._language, first_sample, self._sample_rate)
        self._sentences.append(sentence)
        return sentence

    def heard(self, played_up_to: int) -> Heard:
        parts = [sentence.heard(played_up_to) for sentence in self._sentences]
        return Heard(" ".join(part.text for part in parts if part.text), all(part.complete for part in parts))
