"""Comparison of words, without case, punctuation and accents."""

import re
import unicodedata

_APOSTROPHE = re.compile(r"['’]")
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """ "It's café-time!" has "its", "cafe", "time"."""
    plain = unicodedata.normalize("NFKD", _APOSTROPHE.sub("", text))
    return _WORD.findall("".join(c for c in plain if not unicodedata.combining(c)).casefold())


def contains(text: str, wanted: str) -> bool:
    """Whether `text` has the words of `wanted` side by side."""
    have, want = words(text), words(wanted)
    return any(have[at : at + len(want)] == want for at in range(len(have) - len(want) + 1))


def matches(text: str, wanted: str) -> bool:
    """Whether `text` has the words of `wanted` in this order, with or without others between them."""
    rest = iter(words(text))
    return all(word in rest for word in words(wanted))
