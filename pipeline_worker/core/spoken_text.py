"""The agent's text on its way to speech, and back: which of its words the caller has heard.

Positions are samples of the agent's own audio stream.
"""

import re
from bisect import bisect_right
from difflib import SequenceMatcher
from typing import NamedTuple

from pipeline_worker.core.speakable_text import Spoken, as_it_is, put_for_speech


class Word(NamedTuple):
    """A word and where it ends, in samples from the beginning of the speech that it belongs to."""

    text: str
    end_sample: int


_MAX_SENTENCE = 240
"""Characters after which a sentence without an end is cut at a pause, so that speech need not wait for it."""
_MAX_UNCUT = 2000
"""Of a web address or a block of code, which cannot be spoken in halves."""
# A full stop ends a sentence when white space follows it, so that of "3.5" does not; CJK stops need none.
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)*_]*\s|[。！？]+|\n+")
# What is before a single full stop that ends nothing: a title, an initial, the number of a list's item.
_ABBREVIATED = re.compile(r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|approx|e\.g|i\.e)|^\s*\d{1,3})\.$")
# These may end a sentence: what comes next tells.
_ABBREVIATED_BEFORE_DIGIT = re.compile(r"\b(?:[Nn]o|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$")
_ABBREVIATED_WITHIN = re.compile(r"\b(?:[ap]\.m|etc|Inc|Ltd|Co|Jr|Sr)\.$")
_FENCE = "```"
CHARACTERS_PER_SECOND = 10
"""A slow speaker, whom hardly a voice undercuts: what can only be estimated was not heard rather than heard."""
CLAUSE_END = re.compile(r"[,;:]\s+|[，、]|\s[-–—]\s")


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
        if self._rest.lstrip().startswith(_FENCE):
            end = self._rest.find(_FENCE, self._rest.index(_FENCE) + len(_FENCE))
            whole = end + len(_FENCE) if end >= 0 else _MAX_UNCUT
            return whole if len(self._rest) >= whole else None
        for found in _SENTENCE_END.finditer(self._rest, 0, _MAX_SENTENCE):
            ends = self._ends_at(found)
            if ends is None and len(self._rest) < _MAX_SENTENCE:
                return None
            if ends:
                return found.end()
        if len(self._rest) < _MAX_SENTENCE:
            return None
        pauses = [pause.end() for pause in CLAUSE_END.finditer(self._rest, 0, _MAX_SENTENCE)]
        if pauses or (space := self._rest.rfind(" ", 1, _MAX_SENTENCE) + 1):
            return pauses[-1] if pauses else space
        if "://" in self._rest[:_MAX_SENTENCE]:
            space = self._rest.find(" ") + 1
            return space or (_MAX_UNCUT if len(self._rest) >= _MAX_UNCUT else None)
        return _MAX_SENTENCE

    def _ends_at(self, found: re.Match[str]) -> bool | None:
        """Whether a sentence ends there; None if that depends on what has not come yet."""
        before = self._rest[: found.end()].rstrip()
        if not found[0].startswith(".") or "\n" in found[0]:
            return True
        if _ABBREVIATED.search(before):
            return False
        depends_on = next((p for p in (_ABBREVIATED_BEFORE_DIGIT, _ABBREVIATED_WITHIN) if p.search(before)), None)
        if depends_on is None:
            return True
        following = self._rest[found.end() :].lstrip()[:1]
        if not following:
            return None
        return not following.isdigit() if depends_on is _ABBREVIATED_BEFORE_DIGIT else following.isupper()


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
