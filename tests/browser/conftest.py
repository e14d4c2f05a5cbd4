"""Deployments, and microphone files: one with questions at known times, one silent."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from callers.voice import RATE as CALLER_RATE
from shared.audio import samples_in
from tests.browser.chromium import write_wave
from tests.browser.client_package import install
from tests.fakes.openai_server import OpenAiServer
from tests.fakes.ports import free_port
from tests.integration.deployment import Deployment, deployed
from tests.integration.speech import spoken
from tests.scenarios import bookings

_ROOT = Path(__file__).resolve().parents[2]
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
async def page_server(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """With the agents of `deploy/` and of the scenarios. It is also `phone.test`, whose pages are not secure."""
    model = OpenAiServer(bookings.MANNER)
    await model.start()
    folder = tmp_path_factory.mktemp("agents")
    for file in [*(_ROOT / "deploy/agents").glob("*.yaml"), *(_ROOT / "tests/scenarios/agents").glob("*.yaml")]:
        text = file.read_text(encoding="utf-8").replace(f"http://127.0.0.1:{bookings.PORT}/v1", model.base_url)
        (folder / file.name).write_text(text, encoding="utf-8")
    async with deployed(
        broker_url, ANTIPHON_AGENTS_DIR=str(folder), ANTIPHON_GATEWAY_ORIGINS="http://phone.test"
    ) as running:
        yield running
    await model.close()


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone in which nobody speaks."""
    return write_wave(tmp_path_factory.mktemp("microphone") / "silence.wav", np.zeros(48_000, np.int16))


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
