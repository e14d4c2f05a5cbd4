"""Text normalization: what a voice says for a written text.

Markup is removed in every language. English is also rewritten, see `english`.
"""

import html
import re
from bisect import bisect_left, bisect_right
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline_worker.text.english import EMAIL, RULES, email_said
from pipeline_worker.text.traced_text import Replacement, TracedText
from pipeline_worker.text.words import primary_language

_PASSES = 8
"""Removing one mark may reveal another. Text of models needs two or three passes."""

_EMOJI = (
    "\U0001f000-\U0001faff\U000e0020-\U000e007f\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2b00-\u2bff"
    "\u00a9\u00ae\u2122\ufe0e\ufe0f\u20e3\ufffc\ufffd"
)
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\[\]()\"'`|*]+|(?<![\w.-])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|app|edu|gov|ai|eu|uk|de)\b(?:/[\w./%?=&#-]*)?"
)
_SAYABLE_STEP = re.compile(r"[A-Za-z]{1,20}(?:-[A-Za-z]{1,20}){0,2}")
_Rules = tuple[tuple[re.Pattern[str], Replacement], ...]
_LAYOUT: _Rules = (
    (re.compile(r"&[^\s<&;]{1,32};?"), lambda found: html.unescape(found[0])),
    (re.compile(r"\A\s+|\s+\Z"), ""),
    (re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*"), "\n"),
    (re.compile(r"[^\S\n]+"), " "),
)
_MARKUP: _Rules = (
    (re.compile(r"```.*?(?:```|\Z)", re.DOTALL), " "),  # a block of code
    (re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\u200b]"), ""),
    (re.compile(rf"[{_EMOJI}](?:\u200d?[{_EMOJI}])*"), " "),
    (re.compile(r"!?\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)"), 1),  # [link](URL)
    (re.compile(r"</?[A-Za-z][^<>]*>"), " "),
    (re.compile(r"^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*(?::?-+:?)?[ \t]*$", re.MULTILINE), ""),  # |---|---|
    (re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE), ""),  # a rule
    (re.compile(r"^[ \t]*\|[ \t]*|[ \t]*\|[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"[ \t]*\|+[ \t]*"), ", "),  # cells of a table
    (re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-+*•‣▪·–—][ \t]+(?:\[[ xX]\][ \t]+)?)+", re.MULTILINE), ""),
)
_REMAINS: _Rules = (
    (re.compile(r"[*`#\[\]{}<>\\^|~]+"), ""),
    (re.compile(r"(?<![^\W_])_+|_+(?![^\W_])"), ""),
    (re.compile(r"[\s_]+"), " "),
    (re.compile(r"\A\s|\s\Z"), ""),
)
_ANY_LANGUAGE: _Rules = (*_LAYOUT, *_MARKUP, (_URL, lambda m: _url(m[0], False)), *_REMAINS)
_ENGLISH: _Rules = (*_LAYOUT, *_MARKUP, (EMAIL, email_said), (_URL, lambda m: _url(m[0], True)), *RULES, *_REMAINS)

# Most text has none of these and stays unchanged.
_NOTABLE = re.compile(
    r"[^\w\s,;:!?.'’\"“”()-]|[\d_]|\w\.\w|(?:^|\n)\s*-|---|\b(?:vs|[Aa]pprox|Mrs?|Ms|Dr|Prof)\b|[\x00-\x1f]"
)


class Pair(NamedTuple):
    """Words of the text, and the words that a voice says for them. Neither is empty."""

    written: str
    spoken: str


def normalize(text: str, language: str = "en") -> list[Pair]:
    """All words of `text`, in order, in the smallest possible pairs. Empty if nothing of the text can be said.

    Normalizing the spoken words again does not change them.
    """
    if not _NOTABLE.search(text):
        pairs = [Pair(word, word) for word in text.split()]
    else:
        traced = _rewritten(text, primary_language(language) == "en")
        pairs = _pairs(text, traced.words())
    return pairs if any(map(str.isalnum, "".join(pair.spoken for pair in pairs))) else []


def _rewritten(text: str, english: bool) -> TracedText:
    traced = TracedText(text)
    rules = _ENGLISH if english else _ANY_LANGUAGE
    for _ in range(_PASSES):
        before = traced.text
        for pattern, replacement in rules:
            traced.sub(pattern, replacement)
        if traced.text == before:
            break
    return traced


def _pairs(text: str, said: list[tuple[str, int, int]]) -> list[Pair]:
    """Cuts both texts wherever no spoken word covers words on both sides. Words that are not said, such as an emoji,
    are added to the pair before them."""
    spoken, begins, ends = zip(*said, strict=True) if said else ((), (), ())
    written = text.split()
    pairs: list[Pair] = []
    first = first_spoken = 0
    for until, end in enumerate((word.end() for word in re.finditer(r"\S+", text)), 1):
        spoken_until = bisect_right(ends, end)
        if spoken_until < bisect_left(begins, end):
            continue
        words = " ".join(written[first:until])
        if spoken_until > first_spoken:
            pairs.append(Pair(words, " ".join(spoken[first_spoken:spoken_until])))
        elif pairs:
            pairs[-1] = Pair(f"{pairs[-1].written} {words}", pairs[-1].spoken)
        else:
            continue
        first, first_spoken = until, spoken_until
    return pairs


def _url(url: str, english: bool) -> str:
    """The host, and a path that is short enough to be said."""
    bare = url.rstrip(".,;:!?-_/#&=")
    end = url[len(bare) :].strip("/#&=-_")
    try:
        parts = urlsplit(bare if "://" in bare else f"https://{bare}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        host = ""
    if not host:
        return " "
    if not english:
        return host + end
    steps = [step for step in parts.path.split("/") if step]
    said = [f" slash {step}" for step in steps] if len(steps) <= 2 and all(map(_SAYABLE_STEP.fullmatch, steps)) else []
    return host.replace(".", " dot ") + "".join(said) + end
