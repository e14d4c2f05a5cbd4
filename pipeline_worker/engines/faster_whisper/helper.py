"""The helper process for Whisper models in CTranslate2 (the package faster-whisper)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.utterance.helper import Recognize, serve
from pipeline_worker.engines.utterance.queue import Hypothesis


def load(header: dict[str, Any]) -> Recognize:
    """`header`: model (folder or name), device, compute_type, threads, beam_size, language (None: any)."""
    from faster_whisper import WhisperModel  # here, so that a broken installation is reported as an answer

    model = WhisperModel(
        header["model"], device=header["device"], compute_type=header["compute_type"], cpu_threads=header["threads"]
    )

    def recognize(samples: NDArray[np.float32], _before: Hypothesis | None) -> Hypothesis:
        # One temperature: retries at higher ones multiply the time of hard utterances.
        segments, _ = model.transcribe(
            samples,
            language=header["language"],
            beam_size=header["beam_size"],
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return Hypothesis(" ".join(segment.text.strip() for segment in segments))

    return recognize


if __name__ == "__main__":
    serve(load)
