"""What a caller's words mean in a script: first by its phrases to the letter, then by the words they share.

The second way is for typed text (spelling, word order, figures) and for phrases that were heard in part.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

from pipeline_worker.core.backchannels import BargeInWords
from pipeline_worker.engines import grammar
from pipeline_worker.engines.script import Script

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty")
_FIGURES = re.compile(r"\b(\d{1,2})(?:[:.](\d\d))?\s*(a\.?m\b\.?|p\.?m\b\.?)?")
_NOT_A_WORD = re.compile(r"[^a-z']+")
_SURE = 0.6
"""Share of a text's weight that an intent's own words must carry: chosen by trying typed sentences."""
_UNKNOWN_WORD_WEIGHT = 0.6
_FUNCTION_WORD_WEIGHT = 0.1
_FUNCTION_WORDS = (
    "a an and are at can could do does for from have how i i'd i'm in is it me my no of on or please so some that "
    "the there this to us was we what when where which who will with would yes you your"
)
"""English words that say little about what is wanted. Those of another language weigh as any word."""
_ENOUGH = 0.5
"""Weight that the words of the intent must bring at least: one word that three intents use is not enough."""
_CLOSE_SPELLING = 0.8
_LONGEST_MENTION_WORDS = 8


class Meaning(NamedTuple):
    intent: str | None
    slots: Mapping[str, str]
    """Slot name to the value as the agent says it."""


class Understanding:
    """`backchannels` are words that say too little to be half of a phrase: "okay" is not "okay goodbye"."""

    def __init__(self, script: Script, backchannels: Iterable[str] = ()) -> None:
        values = script.slot_values
        self._more_than_backchannels = BargeInWords(backchannels, min_words=0).claim
        self._intents = [
            (name, re.compile(grammar.regex(phrase, values)))
            for name, phrases in script.intent_phrases.items()
            for phrase in phrases
        ]
        self._slots = {
            name: [re.compile(grammar.regex(phrase, values)) for phrase in phrases]
            for name, phrases in script.slot_phrases.items()
        }
        self._values = {
            name: [(said, re.compile(grammar.regex(value, {}))) for said, value in slot.parsed_values.items()]
            for name, slot in script.slots.items()
        }
        self._words = {name: grammar.words(phrases) for name, phrases in script.intent_phrases.items()}
        spread = Counter(word for words in self._words.values() for word in words)
        self._weights = {word: 1 / intents for word, intents in spread.items()}
        self._weights.update(dict.fromkeys(_FUNCTION_WORDS.split(), _FUNCTION_WORD_WEIGHT))
        self._vocabulary = sorted(script.grammar().words())
        self.understand = lru_cache(maxsize=256)(self._understand)

    def _understand(self, text: str, asked: str | None = None) -> Meaning:
        """`asked` is the slot that the agent's last question was about: it goes first where words fit several."""
        words = normalised(text)
        if meaning := self._to_the_letter(words, asked):
            return meaning
        return self._by_shared_words(words, asked) if self._more_than_backchannels(words) else Meaning(None, {})

    def _to_the_letter(self, words: str, asked: str | None) -> Meaning | None:
        order = sorted(self._slots, key=lambda name: name != asked)
        if asked is not None and (found := self._slot_alone(words, asked)):
            return found
        for name, pattern in self._intents:
            if match := pattern.fullmatch(words):
                return Meaning(name, self._said(match))
        return next((found for name in order if (found := self._slot_alone(words, name))), None)

    def _slot_alone(self, words: str, name: str) -> Meaning | None:
        matches = (pattern.fullmatch(words) for pattern in self._slots[name])
        return next((Meaning(None, self._said(match)) for match in matches if match), None)

    def _by_shared_words(self, words: str, asked: str | None) -> Meaning:
        words = "".join(f"{self._corrected(word)} " for word in words.split())
        slots, rest = self._pick_slots(words, asked)
        weights = {word: self._weights.get(word, _UNKNOWN_WORD_WEIGHT) for word in rest.split()}
        total = sum(weights.values())
        if total == 0:
            return Meaning(None, slots)
        scores = {
            name: sum(weight for word, weight in weights.items() if word in known) / total
            for name, known in self._words.items()
        }
        best = max(scores, key=lambda name: scores[name])
        sure = scores[best] >= _SURE and scores[best] * total >= _ENOUGH
        return Meaning(best if sure else None, slots)

    def _pick_slots(self, words: str, asked: str | None) -> tuple[dict[str, str], str]:
        """Slot values anywhere in `words`, longest mention first, and the words that are left over."""
        slots: dict[str, str] = {}
        rest = words.split()
        order = sorted(self._slots, key=lambda name: name != asked)
        for length in range(min(len(rest), _LONGEST_MENTION_WORDS), 0, -1):
            start = 0
            while start + length <= len(rest):
                mention = "".join(f"{word} " for word in rest[start : start + length])
                found = next(
                    filter(None, (self._slot_alone(mention, name) for name in order if name not in slots)), None
                )
                if found:
                    slots.update(found.slots)
                    del rest[start : start + length]
                else:
                    start += 1
        return slots, " ".join(rest)

    def _corrected(self, word: str) -> str:
        if len(word) < 4 or word in self._vocabulary:
            return word
        return next(iter(get_close_matches(word, self._vocabulary, n=1, cutoff=_CLOSE_SPELLING)), word)

    def _said(self, match: re.Match[str]) -> dict[str, str]:
        found = {grammar.slot_of(name): words for name, words in match.groupdict().items() if words is not None}
        return {
            name: next(said for said, value in self._values[name] if value.fullmatch(words))
            for name, words in found.items()
        }


def normalised(text: str) -> str:
    """`text` as a recogniser would have written it: small letters, no marks, figures as words, a space after each.

    Hours are those of a twelve-hour clock, and "7:00" is "seven".
    """
    figures_spelt = _FIGURES.sub(lambda figures: f" {_spelt(figures)} ", text.lower().replace("’", "'"))
    words = _NOT_A_WORD.sub(" ", figures_spelt).split()
    return "".join(f"{word} " for word in words)


def _spelt(figures: re.Match[str]) -> str:
    number, minutes, half_of_day = int(figures[1]), figures[2], figures[3]
    if (minutes or half_of_day) and 12 < number < 24:
        number -= 12
    return " ".join(filter(None, [_number(number), _number(int(minutes)) if int(minutes or 0) else ""]))


def _number(value: int) -> str:
    if value < len(_ONES):
        return _ONES[value]
    if value >= 60:
        return str(value)
    return " ".join(filter(None, [_TENS[value // 10], _ONES[value % 10] if value % 10 else ""]))
