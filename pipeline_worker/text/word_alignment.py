"""Word alignment: which words of a text a voice has said, from its own report.

Voices name words in their own way ("five" for "5"), report them late, or report none.
"""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import accumulate

_MOST_PAIRS = 10_000
"""Of words to compare, about 15 ms at worst: `SequenceMatcher` may take cubic time. A sentence has about 40 words."""
CHARACTERS_PER_SECOND = 10
"""A slow speaker, because an estimate should rather count too few words."""


def words_ended(words: Sequence[str], named: Sequence[str], ended: int, whole: bool) -> int:
    """How many of `words` have ended when the first `ended` of the voice's `named` have.

    Where the two differ, words count in proportion; at the end, while `named` is not the `whole` yet, one for one.
    """
    ours, theirs = _bare(words), _bare(named)
    if ours[: len(theirs)] == theirs:
        return ended
    if _too_many(ours, theirs):
        return ended * len(ours) // len(theirs) if whole else min(ended, len(ours))
    found = 0
    for kind, first, end, named_first, named_end in _matcher(ours, theirs).get_opcodes():
        if not ended or ended < named_first:
            break
        if not whole and end == len(ours) and kind != "equal":
            found = first + min(ended - named_first, end - first)
        elif ended >= named_end:
            found = end
        else:
            found = first + (ended - named_first) * (end - first) // (named_end - named_first)
    return found


def last_in_common(words: Sequence[str], named: Sequence[str]) -> tuple[int, int]:
    """The numbers of words in each up to the last common word. None if there are too many words to compare."""
    if _too_many(words, named):
        return 0, 0
    *blocks, _ = _matcher(_bare(words), _bare(named)).get_matching_blocks()
    return (blocks[-1].a + blocks[-1].size, blocks[-1].b + blocks[-1].size) if blocks else (0, 0)


def estimated_ends(words: Sequence[str], samples: int) -> list[int]:
    """Where each word ends if all of them last `samples`, in proportion to their length."""
    ends = list(accumulate(len(word) + 1 for word in words))
    return [(end - 1) * samples // (ends[-1] - 1) for end in ends]


def slow_samples(text: str, sample_rate: int) -> int:
    """How long a slow speaker takes for `text`."""
    return len(text) * sample_rate // CHARACTERS_PER_SECOND


def _too_many(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return len(ours) * len(theirs) > _MOST_PAIRS


def _matcher(ours: Sequence[str], theirs: Sequence[str]) -> SequenceMatcher[str]:
    return SequenceMatcher(None, ours, theirs, autojunk=False)


def _bare(words: Iterable[str]) -> list[str]:
    return ["".join(filter(str.isalnum, word)).casefold() for word in words]
