"""A deployment, and a microphone file with questions at known times."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from callers.voice import RATE as CALLER_RATE
from shared.audio import samples_in
from tests.browser.chromium import write_wave
from tests.browser.client_package import install
from tests.fakes.ports import free_port
from tests.integration.deployment import Deployment, deployed
from tests.integration.speech import spoken

QUESTION_AT_MS = 11_000
"""After the greeting: the file begins when the page opens the microphone."""


@pytest.fixture(scope="module")
def customer_port() -> int:
    """The port of a customer's website, whose pages may call."""
    return free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str, customer_port: int) -> AsyncIterator[Deployment]:
    async with deployed(broker_url, ANTIPHON_GATEWAY_ORIGINS=f"http://127.0.0.1:{customer_port}") as running:
        yield running
        assert await running.leftovers() == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded question, with a room's quiet noise around it."""
    (question,) = await spoken("What are your opening hours?")
    before, after = samples_in(QUESTION_AT_MS, CALLER_RATE), samples_in(30_000, CALLER_RATE)
    samples = np.concatenate([np.zeros(before, np.int16), question, np.zeros(after, np.int16)])
    noise = np.random.default_rng(2).normal(0, 3, len(samples)).astype(np.int16)
    folder = tmp_path_factory.mktemp("microphone")
    return write_wave(folder / "question.wav", samples + noise)


@pytest.fixture(scope="session")
def client_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The React example with the packed client installed."""
    folder = tmp_path_factory.mktemp("app")
    install(folder)
    return folder
