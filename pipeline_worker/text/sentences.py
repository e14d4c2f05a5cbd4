"""The sentence splitter: the only place that decides where a sentence ends."""

import re

_MAX_SENTENCE = 240
"""Characters after which a sentence without an end is cut at a pause, so that speech can begin."""
_MAX_UNCUT = 2000
"""The same limit for a URL or a code block, which must not be cut."""
_AT_ONCE = 1000
"""Characters of a long text that are looked at together: each sentence found copies the rest."""
# A full stop ends a sentence only if white space follows ("3.5"). CJK stops need no white space.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)*_]*+\s|[。！？]+|\n+")
# These never end a sentence: a title, an initial (but "I" is a pronoun), the number of a list item.
_ABBREVIATED = re.compile(r"(?:\b(?:[A-HJ-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|approx|e\.g|i\.e)|^\s*\d{1,3})\.$")
# These may end a sentence: it depends on what follows.
_ABBREVIATED_BEFORE_DIGIT = re.compile(r"\b(?:[Nn]o|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$")
_ABBREVIATED_WITHIN = re.compile(r"\b(?:[ap]\.m|etc|Inc|Ltd|Co|Jr|Sr)\.$")
# Inside a sentence, the full stop of an abbreviation. Not of "e.g." or "p.m.", nor of "1." or the German "3. Mai".
_ABBREVIATION_STOP = re.compile(r"(?<=[^\W\d])(?<!\.\w)\.(?=\s)")
_FENCE = "```"
CLAUSE_END = re.compile(r"[,;:]\s+|[，、]|\s[-–—]\s")


class SentenceSplitter:
    """Splits text that arrives in pieces. Returns each sentence once it is complete."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def rest(self) -> str:
        """The beginning of a sentence."""
        return self._rest

    def push(self, text: str) -> list[str]:
        sentences = []
        for begin in range(0, len(text), _AT_ONCE):
            self._rest += text[begin : begin + _AT_ONCE]
            while (end := self._end_of_first()) is not None:
                sentence, self._rest = self._rest[:end].strip(), self._rest[end:]
                if sentence:
                    sentences.append(sentence)
        return sentences

    def finish(self) -> list[str]:
        """The end of the text."""
        rest, self._rest = self._rest.strip(), ""
        return [rest] if rest else []

    def _end_of_first(self) -> int | None:
        if self._rest.lstrip().startswith(_FENCE):
            end = self._rest.find(_FENCE, self._rest.index(_FENCE) + len(_FENCE))
            whole = min(end + len(_FENCE), _MAX_UNCUT) if end >= 0 else _MAX_UNCUT
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
            space = self._rest.find(" ", 0, _MAX_UNCUT) + 1
            return space or (_MAX_UNCUT if len(self._rest) >= _MAX_UNCUT else None)
        return _MAX_SENTENCE

    def _ends_at(self, found: re.Match[str]) -> bool | None:
        """Whether a sentence ends there. None if that depends on text that has not arrived."""
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


def split_sentences(text: str) -> list[str]:
    """The sentences of a whole text on one line. Those without a word are left out."""
    splitter = SentenceSplitter()
    sentences = [*splitter.push(" ".join(text.split())), *splitter.finish()]
    return [sentence for sentence in sentences if re.search(r"\w", sentence)]


def without_abbreviation_stops(sentence: str) -> str:
    """`sentence` for a voice that pauses at each full stop: those of abbreviations are spaces. Keeps all positions."""
    return _ABBREVIATION_STOP.sub(" ", sentence)
