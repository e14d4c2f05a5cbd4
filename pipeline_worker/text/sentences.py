"""Splits text that arrives in pieces into sentences, and sentences at their pauses."""

import re

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


class SentenceSplitter:
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
