"""The voice that Antiphon ships, loaded once for the tests that want it in their own process."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.piper_speech import Speech
from pipeline_worker.engines.piper_tts import PiperOptions
from pipeline_worker.engines.piper_voice import Voice

MODEL = PiperOptions().file


@cache
def joe() -> Voice:
    return Voice(MODEL)


def made(speech: Speech) -> list[NDArray[np.int16]]:
    """All of its slices."""
    speech.begin()
    slices = [speech.next_slice()]
    while not slices[-1].last:
        slices.append(speech.next_slice())
    return [one.samples for one in slices]
