"""The model for batches against the one that the package contains."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_worker.engines.onnx_session import open_session
from pipeline_worker.engines.silero.detector import model_file
from pipeline_worker.engines.silero.model import CHUNK_SAMPLES, CONTEXT_SAMPLES, STATE, open_model
from tests.pipeline_worker.engines.spoken import caller

Floats = NDArray[np.float32]


async def streams() -> list[Floats]:
    """Chunks with their context: speech of two callers, noise from quiet to clipping, and nothing."""
    heard = []
    for voice, text in [
        ("en-us+m3", "I would like a table for four on Friday."),
        ("en-us+f3", "And how do I find you?"),
    ]:
        async with caller(voice) as speaker:
            heard.append((await speaker.says(text)).astype(np.float32) / 32768)
    random = np.random.default_rng(5)
    length = min(map(len, heard)) // CHUNK_SAMPLES * CHUNK_SAMPLES
    noise = np.clip(random.standard_normal(length) * np.geomspace(1e-4, 1.0, length), -1.0, 1.0)
    sounds = [*(sound[:length] for sound in heard), noise.astype(np.float32), np.zeros(length, np.float32)]
    padded = [np.concatenate([np.zeros(CONTEXT_SAMPLES, np.float32), sound]) for sound in sounds]
    starts = range(0, length, CHUNK_SAMPLES)
    return [np.stack([sound[start : start + CONTEXT_SAMPLES + CHUNK_SAMPLES] for sound in padded]) for start in starts]


async def test_speech_is_found_where_the_packages_model_finds_it() -> None:
    batched, original = open_model(model_file()), open_session(str(model_file()))
    chunks = await streams()
    ours = theirs = np.zeros((2, chunks[0].shape[0], STATE), np.float32)
    found = []
    for chunk in chunks:
        probability, ours = batched.run(None, {"input": chunk, "state": ours})
        expected, theirs = original.run(None, {"input": chunk, "state": theirs, "sr": np.array(16_000)})
        found.append(probability[:, 0])
        assert probability == pytest.approx(expected, abs=1e-4)
    spoken = np.stack(found)
    assert spoken[:, :2].max(axis=0).min() > 0.9, "speech was among it"
    assert spoken[:, 3].max() < 0.1
