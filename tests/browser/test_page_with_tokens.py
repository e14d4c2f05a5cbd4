"""The gateway's own page in a real Chromium, at a gateway that requires tokens."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import expect

from gateway.core.api_keys import new_api_key
from tests.browser.chromium import chromium, write_wave
from tests.integration.deployment import Deployment, deployed

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ECHO = Path(__file__).resolve().parents[2] / "deploy" / "agents" / "echo.yaml"
_API_KEY, _LINE = new_api_key("website", "calls")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    folder = tmp_path_factory.mktemp("agents")
    shutil.copy(_ECHO, folder)
    (folder / "api-keys").write_text(_LINE)
    async with deployed(
        broker_url.removesuffix("/0") + "/2",
        ANTIPHON_AGENTS_DIR=str(folder),
        ANTIPHON_GATEWAY_ACCESS="token",
        ANTIPHON_GATEWAY_API_KEYS_FILE=str(folder / "api-keys"),
    ) as running:
        yield running


async def test_a_person_with_a_link_talks_once(deployment: Deployment, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{deployment.port}"
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {_API_KEY}"}) as http:
        token = (await http.post("/api/tokens", json={"agents": "all"})).json()["token"]
    async with chromium(write_wave(tmp_path / "silence.wav", np.zeros(48_000, np.int16))) as browser:
        page = await browser.new_page()
        problem, button, element = (page.locator(name) for name in ("#problem", "#callBtn", "voice-agent"))
        await page.goto(f"{url}/?agent=echo")
        await button.click()
        await expect(problem).to_have_attribute("data-code", "token_required")
        await expect(problem).to_contain_text("Open this page by the link that you were given.")
        await page.goto(f"{url}/?agent=echo#token={token}")
        await expect(page).to_have_url(f"{url}/?agent=echo")
        await button.click()
        await expect(element).to_have_attribute("data-phase", "connected", timeout=20_000)
        await page.reload()  # ... keeps the token
        await expect(element).to_have_attribute("data-phase", "connected", timeout=20_000)
        await button.click()
        await expect(element).to_have_attribute("data-phase", "ended")
        await button.click()
        await expect(problem).to_have_attribute("data-code", "token_used")
    assert token not in deployment.logs()
