"""The gateway's own page in a real Chromium: click, talk, read."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.chromium import chromium, screenshot
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

_MAX_CONCEALED_SHARE = 0.02
_TALK_MS = 40_000

# The page keeps its client to itself; tapping the constructor is how a test sees its statistics.
_KEEP_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...config) { super(...config); window.connections.push(this); }
};
"""
_INBOUND = """async () => {
  const report = await window.connections[0].getStats();
  return [...report.values()].find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'audio');
}"""


async def test_a_person_talks_with_the_front_desk(deployment: Deployment, microphone: Path) -> None:
    async with chromium(microphone) as browser:
        page = await browser.new_page()
        await page.add_init_script(_KEEP_CONNECTIONS)
        await page.goto(f"http://127.0.0.1:{deployment.port}/?agent=front-desk")
        await expect(page.locator("#startBtn")).to_be_enabled()
        await screenshot(page, "page-before-call")
        await page.click("#startBtn")
        user = page.locator('#transcript [data-role="user"]:not(.interim)')
        agent = page.locator('#transcript [data-role="agent"]:not(.interim)')
        await expect(user).to_have_count(1, timeout=_TALK_MS)
        await expect(user).to_contain_text("what are your opening hours", ignore_case=True)
        await expect(agent).to_have_count(2, timeout=_TALK_MS)
        await expect(agent.nth(1)).to_contain_text("open every day")
        await expect(page.locator("#status")).to_have_attribute("data-status", "listening")
        await screenshot(page, "page-in-call")
        heard: dict[str, Any] = await page.evaluate(_INBOUND)
        await page.fill("#textInput", "How do I find you?")
        await page.click("#textBtn")
        await expect(user).to_have_count(2, timeout=_TALK_MS)
        await page.click("#stopBtn")
        await expect(page.locator("#startBtn")).to_be_enabled()
        await expect(page.locator("#status")).to_have_attribute("data-status", "ended")
    assert heard["totalAudioEnergy"] > 0.01
    assert heard["concealedSamples"] <= _MAX_CONCEALED_SHARE * heard["totalSamplesReceived"]


async def test_a_refusal_is_told_in_words(deployment: Deployment, microphone: Path) -> None:
    await asyncio.to_thread(deployment.pipeline.stop)
    async with chromium(microphone) as browser:
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{deployment.port}/")
        await page.click("#startBtn")
        problem = page.locator("#problem")
        await expect(problem).to_have_attribute("data-code", "no_capacity", timeout=10_000)
        await expect(problem).to_be_visible()
        await screenshot(page, "page-refused")
        await expect(page.locator("#startBtn")).to_be_enabled()
