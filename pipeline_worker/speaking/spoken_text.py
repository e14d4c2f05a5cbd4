"""The agent's text on its way to speech, and back: which of its words the caller has heard.

Positions are samples of the agent's own audio stream.
"""

from bisect import bisect_right
from difflib import SequenceMatcher
from typing import NamedTuple

from pipeline_worker.engines.protocols import Word
from pipeline_worker.text.normalization import Spoken, as_it_is, put_for_speech
from pipeline_worker.text.sentences import CHARACTERS_PER_SECOND


class Heard(NamedTuple):
    text: str
    complete: bool
    """Every word of it."""


class SpokenSentence:
    """One sentence in the agent's audio, growing while it is synthesised. The voice is given `spoken` in its place."""

    def __init__(self, text: str, spoken: Spoken, first_sample: int, sample_rate: int) -> None:
        self.text = text
        self.spoken = spoken.text
        self.first_sample = first_sample
        self._tokens = text.split()
        self._said = spoken.text.split()
        self._said_with = spoken.said_with
        # What it is taken to last at least, while its synthesis goes on without word times.
        self._least_samples = len(spoken.text) * sample_rate // CHARACTERS_PER_SECOND
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
        """The words that had ended by `played_up_to`; without word times, a share of them by length.

        They are the text's own, also where the voice said others: of "$5", spoken as "five dollars", nothing was heard
        until both words were.
        """
        played = max(0, min(played_up_to - self.first_sample, self._samples))
        if not self._samples:
            return Heard("", self._whole)
        if self._whole and played == self._samples:
            return Heard(self.text, True)
        if self._words:
            said = _counterpart(self._said, self._words, played, self._whole)
        else:
            samples = self._samples if self._whole else max(self._samples, self._least_samples)
            said = _share(self._said, played, samples)
        heard = bisect_right(self._said_with, said) if said else 0
        return Heard(" ".join(self._tokens[:heard]), False)


class SpokenText:
    """The sentences of one turn of the agent, spoken at `sample_rate` by a voice of `language`.

    Without a language they are spoken as they are.
    """

    def __init__(self, sample_rate: int, language: str | None = None) -> None:
        self._sample_rate = sample_rate
        self._language = language
        self._sentences: list[SpokenSentence] = []

    def begin(self, text: str, first_sample: int) -> SpokenSentence:
        """The next sentence, whose audio begins at `first_sample`. The voice is to say its `spoken`, if not empty."""
        spoken = as_it_is(text) if self._language is None else put_for_speech(text, self._language)
        sentence = SpokenSentence(text, spoken, first_sample, self._sample_rate)
        self._sentences.append(sentence)
        return sentence

    def heard(self, played_up_to: int) -> Heard:
        parts = [sentence.heard(played_up_to) for sentence in self._sentences]
        return Heard(" ".join(part.text for part in parts if part.text), all(part.complete for part in parts))


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def _counterpart(said: list[str], words: list[Word], played: int, whole: bool) -> int:
    """How many of the words `said` had ended by then, by an engine's `words` for them, which may be others.

    Where they differ they count as they go along; at the end, while not the `whole` is synthesised, one for one.
    """
    count = sum(word.end_sample <= played for word in words)
    tokens, named = [_bare(word) for word in said], [_bare(word.text) for word in words]
    if tokens[: len(named)] == named:
        return count
    found = 0
    blocks = SequenceMatcher(None, tokens, named, autojunk=False).get_opcodes()
    for kind, first, end, named_first, named_end in blocks:
        if not count or count < named_first:
            break
        if not whole and end == len(tokens) and kind != "equal":
            found = first + min(count - named_first, end - first)
        elif count >= named_end:
            found = end
        else:
            found = first + (count - named_first) * (end - first) // (named_end - named_first)
    return found


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
