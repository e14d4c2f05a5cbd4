"""The voice that Antiphon ships, for tests that want it in their own process, and a small one of several speakers."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.piper.options import PiperOptions
from pipeline_worker.engines.piper.speech import Speech
from pipeline_worker.engines.piper.voice import Voice
from tests.fakes.small_vits import HOP, SPEAKERS, write_small_vits

MODEL = PiperOptions().file


@cache
def joe() -> Voice:
    """Loaded once."""
    return Voice(MODEL)


def made(speech: Speech) -> list[NDArray[np.int16]]:
    """All of its slices."""
    speech.begin()
    slices = [speech.next_slice()]
    while not slices[-1].last:
        slices.append(speech.next_slice())
    return [one.samples for one in slices]


def small_voice(folder: Path) -> Path:
    """With several speakers, a hop of its own, and the shipped voice's phonemes."""
    path = folder / "small.onnx"
    write_small_vits(path)
    described = json.loads(Path(f"{MODEL}.json").read_text(encoding="utf-8"))
    described |= {"num_speakers": SPEAKERS, "hop_length": HOP, "default_speaker_id": 1}
    Path(f"{path}.json").write_text(json.dumps(described), encoding="utf-8")
    return path
