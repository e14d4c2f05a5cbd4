"""Answers to a yes-or-no question."""

import re
from collections.abc import Iterator

from pipeline_worker.engines.scripted.values.sentence import Found

_YES = re.compile(
    r"^\W*(?:(?:oh|well|um|uh|hmm)\W+)*(?:yes|yeah|yep|yup|aye|sure|of course|certainly|definitely|exactly|correct"
    r"|right|absolutely|it is|it does|i do|i am|we do|we are|i think so|please)\b",
    re.IGNORECASE,
)
_NO = re.compile(
    r"^\W*(?:(?:oh|well|um|uh|hmm)\W+)*(?:no|nope|nah|not|never|it isn't|it is not|it's not|it doesn't|i don't|i'm not"
    r"|we don't|we aren't|none|neither|i don't think so|afraid not|i'm afraid not)\b",
    re.IGNORECASE,
)


def find(text: str, asked: bool) -> Iterator[Found]:
    """Finds only answers: without the question, "yes" or "no" at the beginning means something else."""
    if not asked:
        return
    for value, pattern in (("no", _NO), ("yes", _YES)):
        if match := pattern.match(text):
            yield Found(match.start(), match.end(), value)
            return
