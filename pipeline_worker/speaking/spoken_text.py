"""The agent's text on its way to speech, and back: which of its words the caller has heard.

Positions are samples of the agent's own audio stream.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate, takewhile
from typing import NamedTuple

from pipeline_worker.engines.protocols import Word
from pipeline_worker.text.normalization import normalize
from pipeline_worker.text.word_alignment import estimated_ends, slow_samples, words_ended
from pipeline_worker.turns.memory import SentenceMemory, TurnMemory


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
        played = self._played(played_up_to)
        if not self._samples:
            return Heard("", self._whole)
        if self._whole and played == self._samples:
            return Heard(self.text, True)
        return Heard(" ".join(self._written[: self._words_heard(played)]), False)

    def rest(self, played_up_to: int) -> str:
        """The words of the text that do not count as heard."""
        if self.heard(played_up_to).complete:
            return ""
        return " ".join(self._written[self._words_heard(self._played(played_up_to)) :])

    def memory(self) -> SentenceMemory:
        words = tuple((word.text, word.end_sample) for word in self._words)
        return SentenceMemory(
            text=self.text, first_sample=self._first_sample, samples=self._samples, words=words, whole=self._whole
        )

    def _played(self, played_up_to: int) -> int:
        return max(0, min(played_up_to - self._first_sample, self._samples))

    def _words_heard(self, played: int) -> int:
        """How many of `_written` had ended."""
        if not self._samples:
            return 0
        if self._words:
            ended = sum(word.end_sample <= played for word in self._words)
            said = words_ended(self._said, [word.text for word in self._words], ended, self._whole)
        else:
            samples = self._samples if self._whole else max(self._samples, self._least_samples)
            said = bisect_right(estimated_ends(self._said, samples), played)
        return bisect_right(self._said_until, said)


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

    def memory(self, played_up_to: int) -> tuple[str, tuple[SentenceMemory, ...]]:
        """The text of the sentences that were heard, and the sentences after them."""
        heard = list(takewhile(lambda sentence: sentence.heard(played_up_to).complete, self._sentences))
        return _joined(sentence.text for sentence in heard), tuple(
            sentence.memory() for sentence in self._sentences[len(heard) :]
        )

    def heard(self, played_up_to: int) -> Heard:
        parts = [sentence.heard(played_up_to) for sentence in self._sentences]
        return Heard(_joined(part.text for part in parts), all(part.complete for part in parts))


def recall(turn: TurnMemory, played_up_to: int) -> tuple[str, str]:
    """What the caller has heard of a turn of another worker, and the rest of its text."""
    sentences = [_recalled(sentence, turn, played_up_to) for sentence in turn.sentences]
    heard = [sentence.heard(played_up_to).text for sentence in sentences]
    # Sentences are played in order: all before the last that was heard were heard.
    last = max((number for number, text in enumerate(heard) if text), default=-1)
    rest = [sentences[last].rest(played_up_to)] if last >= 0 else []
    return (
        _joined([turn.before, *(sentence.text for sentence in sentences[: max(0, last)]), *heard[max(0, last) :]]),
        _joined([*rest, *(sentence.text for sentence in sentences[last + 1 :]), turn.waiting]),
    )


def _recalled(memory: SentenceMemory, turn: TurnMemory, played_up_to: int) -> SpokenSentence:
    sentence = SpokenSentence(memory.text, turn.language, memory.first_sample, turn.sample_rate)
    # More of it may have been sent than was written down.
    samples = memory.samples if memory.whole else max(memory.samples, played_up_to - memory.first_sample)
    sentence.add(samples, tuple(Word(*word) for word in memory.words))
    if memory.whole:
        sentence.finish()
    return sentence


def _joined(texts: Iterable[str]) -> str:
    return " ".join(text for text in texts if text)
