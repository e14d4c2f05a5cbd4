"""Text that is rewritten in steps and keeps track of the part of the original that each character stands for."""

import re
from collections.abc import Callable

Found = re.Match[str]
Replacement = str | int | Callable[[Found], str]
"""A template as for `re.sub`, the number of the group that is kept, or a function."""


class TracedText:
    def __init__(self, text: str) -> None:
        self.text = text
        self._spans = [(at, at + 1) for at in range(len(text))]

    def sub(self, pattern: re.Pattern[str], replacement: Replacement) -> None:
        """As `re.sub`. Each new character stands for the whole match, without the white space around it."""
        text, spans, at = "", list[tuple[int, int]](), 0
        for found in pattern.finditer(self.text):
            text += self.text[at : found.start()]
            spans += self._spans[at : found.start()]
            at = found.end()
            if isinstance(replacement, int):
                text += found[replacement]
                spans += self._spans[slice(*found.span(replacement))]
            else:
                new = found.expand(replacement) if isinstance(replacement, str) else replacement(found)
                text += new
                spans += [self._span(found)] * len(new)
        self.text, self._spans = text + self.text[at:], spans + self._spans[at:]

    def words(self) -> list[tuple[str, int, int]]:
        """Each word, with the begin and the end of its part of the original. Neither ever decreases."""
        return [
            (word[0], self._spans[word.start()][0], self._spans[word.end() - 1][1])
            for word in re.finditer(r"\S+", self.text)
        ]

    def _span(self, found: Found) -> tuple[int, int]:
        matched = found[0]
        first, last = found.start(), found.end() - 1
        if matched.strip():
            first += len(matched) - len(matched.lstrip())
            last -= len(matched) - len(matched.rstrip())
        return self._spans[first][0], self._spans[last][1]
