"""The helper process that recognises speech with Moonshine models (the package moonshine-voice)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.utterance_helper import Recognise, serve

_SHORTEST_SAMPLES = 8_000
"""Half a second: of less its voice detector makes nothing."""


def load(header: dict[str, Any]) -> Recognise:
    """`header`: model (folder, or None for the library's own of this language), architecture, language."""
    from moonshine_voice import ModelArch, Transcriber, get_model_for_language

    architecture = ModelArch[header["architecture"].upper().replace("-", "_")]
    folder = header["model"]
    if folder is None:
        folder, architecture = get_model_for_language(header["language"], architecture)
    transcriber = Transcriber(folder, architecture, options={"return_audio_data": "false"})

    def recognise(samples: NDArray[np.float32]) -> str:
        padded = np.pad(samples, (0, max(0, _SHORTEST_SAMPLES - len(samples))))
        transcript = transcriber.transcribe_without_streaming(padded.tolist(), 16_000)
        return " ".join(line.text.strip() for line in transcript.lines if line.text.strip())

    return recognise


if __name__ == "__main__":
    serve(load)
