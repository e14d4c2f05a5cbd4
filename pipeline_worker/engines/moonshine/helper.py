"""The helper process that recognises speech with a Moonshine model."""

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
"""Of other languages the tokens are shorter."""
_LEAST_CERTAINTY = -0.8
"""What it makes of noise is at -0.9 to -2, unless that is "You"; words it got right are at -0.65 or above."""
_OF_NOISE = frozenset({"", "you", "so", "and", "the", "thank you for watching", "thanks for watching"})
"""What it says of silence, noise, clicks and coughs with certainty; of hums and tones it says notes."""
_OLD_SPELLING = re.compile(r"\b(to(?=-(?:day|night|morrow))|good(?=-bye))-", re.IGNORECASE)
"""Its teachers wrote "to-morrow"."""


def load(header: dict[str, Any]) -> Recognize:
    """`header`: model (folder), packaged (whether its files must be those we know), language."""
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
    """`text`, or nothing if that is what the model says when nobody speaks.

    A comma at the end becomes a full stop: one in twelve sentences ends so, whole ones as often as those cut off.
    """
    words = _OLD_SPELLING.sub(r"\1", text).replace("♪", "").strip()
    if certainty < _LEAST_CERTAINTY or " ".join(words_of(words)) in _OF_NOISE:
        return ""
    return words.rstrip(",. ") + "." if words.endswith(",") else words


if __name__ == "__main__":
    serve(load)
