"""Stands for faster-whisper 1.2: hears how long and how loud the sound was."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray


class WhisperModel:
    def __init__(self, model: str, *, device: str, compute_type: str, cpu_threads: int) -> None:
        if (Path(model) / "model.bin").read_bytes() != b"a model":
            raise RuntimeError("unsupported model")
        self._name = f"{compute_type} {cpu_threads}"

    def transcribe(
        self, samples: NDArray[np.float32], *, language: str | None, beam_size: int, **_: Any
    ) -> tuple[Iterable[Any], Any]:
        if samples.max() > 0.99:
            raise RuntimeError("too loud")
        heard = [f"{len(samples) / 16_000:.1f} seconds", f"of {language} at {samples.max():.1f}"]
        return (SimpleNamespace(text=f" {text} ") for text in heard), None
