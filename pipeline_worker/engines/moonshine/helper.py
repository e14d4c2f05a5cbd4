"""The helper process for Moonshine models."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.utterance.helper import Recognize, serve
from pipeline_worker.engines.utterance.queue import Hypothesis
from pipeline_worker.text.words import words_of

_TOKENS_PER_S = {"en": 6.5}
_TOKENS_PER_S_ELSEWHERE = 13.0
"""Tokens of other languages are shorter."""
_LEAST_CERTAINTY = -0.8
"""Noise gives -0.9 to -2, except for "You"; correct words give -0.65 or more."""
_OF_NOISE = frozenset({"", "you", "so", "and", "the", "thank you for watching", "thanks for watching"})
"""The texts it gives for silence, noise, clicks and coughs with certainty. Hums and tones give notes."""
_OLD_SPELLING = re.compile(r"\b(to(?=-(?:day|night|morrow))|good(?=-bye))-", re.IGNORECASE)
"""Its training data contain "to-morrow"."""


def load(header: dict[str, Any]) -> Recognize:
    """`header`: model (folder), packaged (whether to verify its files), language."""
    # Imported here so that a broken installation is reported as an answer.
    from pipeline_worker.engines.moonshine.files import verify
    from pipeline_worker.engines.moonshine.model import MoonshineModel

    folder = Path(header["model"])
    if header["packaged"]:
        verify(folder)
    model = MoonshineModel(folder, _TOKENS_PER_S.get(header["language"], _TOKENS_PER_S_ELSEWHERE))

    def recognize(samples: NDArray[np.float32], before: Hypothesis | None) -> Hypothesis:
        heard = model.hear(samples, before.state if before else ())
        return Hypothesis(said(model.text(heard.tokens), heard.certainty), heard.tokens)

    return recognize


def said(text: str, certainty: float) -> str:
    """`text`, or nothing if the model gives it when nobody speaks.

    A final comma becomes a full stop: one in twelve sentences has one, complete or not.
    """
    words = _OLD_SPELLING.sub(r"\1", text).replace("♪", "").strip()
    if certainty < _LEAST_CERTAINTY or " ".join(words_of(words)) in _OF_NOISE:
        return ""
    return words.rstrip(",. ") + "." if words.endswith(",") else words


if __name__ == "__main__":
    serve(load)
