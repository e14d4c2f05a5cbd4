"""Backchannels: short sounds of a listener ("uh-huh") that do not ask for the floor."""

from collections.abc import Iterable

from pipeline_worker.text.words import primary_language, words_of
from shared.agent import AgentDefinition

_USUAL: dict[str, str] = {
    "en": "uh-huh, mm-hmm, mhm, mm, hm, hmm, uh, um, ah, oh, aha, yeah, yes, yep, ok, okay, right, sure, I see, got it",
    "de": "mhm, hm, hmm, aha, ja, genau, okay, ok, stimmt, gut, ach so, äh, ähm",
    "fr": "mhm, hm, hmm, oui, ouais, d'accord, ok, voilà, ah, euh",
    "es": "mhm, hm, hmm, sí, ajá, vale, claro, ok, ya, eh",
    "it": "mhm, hm, hmm, sì, okay, ok, certo, va bene, ah, eh",
    "nl": "mhm, hm, hmm, ja, oké, ok, precies, aha, eh",
    "pt": "mhm, hm, hmm, sim, ok, tá, certo, pois, ah, é",
}


def usual(language: str) -> tuple[str, ...]:
    """The backchannels of `language` ("en", "en-GB"); none if the language is unknown."""
    known = _USUAL.get(primary_language(language), "")
    return tuple(known.split(", ")) if known else ()


def expected(agent: AgentDefinition) -> tuple[str, ...]:
    """The backchannels in the agent's definition, or else the usual ones of its language."""
    named = agent.turn_taking.backchannels
    return usual(agent.language) if named is None else named


class BargeInWords:
    """Tells words that interrupt the agent from backchannels."""

    def __init__(self, backchannels: Iterable[str], min_words: int) -> None:
        self._backchannels = {tuple(words_of(phrase)) for phrase in backchannels}
        self._longest = max(map(len, self._backchannels), default=0)
        self._min_words = min_words
        self.decide = bool(self._backchannels) or min_words > 0
        """Whether it takes words, or long speech, to interrupt the agent. If not, sustained speech does."""

    def claim(self, text: str) -> bool:
        """Whether `text` has enough words, and other words than backchannels."""
        words = words_of(text)
        return len(words) >= max(1, self._min_words) and not self._only_backchannels(words)

    def _only_backchannels(self, words: list[str]) -> bool:
        """Whether `words` are a sequence of backchannels."""
        splits = [True]
        """Whether the words up to there are such a sequence."""
        for end in range(1, len(words) + 1):
            begins = range(max(0, end - self._longest), end)
            splits.append(any(splits[begin] and tuple(words[begin:end]) in self._backchannels for begin in begins))
        return splits[-1]
