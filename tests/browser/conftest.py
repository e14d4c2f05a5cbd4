"""A deployment, and a microphone file with questions at known times."""

from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from callers.voice import RATE as CALLER_RATE
from shared.audio import samples_in
from tests.browser.chromium import write_wave
from tests.integration.conftest import deployment
from tests.integration.speech import spoken

__all__ = ["deployment"]

QUESTION_AT_MS = 11_000
"""After the greeting: the file begins when the page opens the microphone."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded question, with a room's quiet noise around it."""
    (question,) = await spoken("What are your opening hours?")
    before, after = samples_in(QUESTION_AT_MS, CALLER_RATE), samples_in(30_000, CALLER_RATE)
    samples = np.concatenate([np.zeros(before, np.int16), question, np.zeros(after, np.int16)])
    noise = np.random.default_rng(2).normal(0, 3, len(samples)).astype(np.int16)
    folder = tmp_path_factory.mktemp("microphone")
    return write_wave(folder / "question.wav", samples + noise)
