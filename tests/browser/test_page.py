"""The gateway's own page in a real Chromium: click, talk, read."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.chromium import chromium, screenshot
from tests.browser.conftest import QUESTION_AT_MS
from tests.integration.deployment import Deployment, deployed

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROOT = Path(__file__).resolve().parents[2]
_MAX_CONCEALED_SHARE = 0.02
_TALK_MS = 40_000
_ENGINES = re.compile(r"^Recogniser: moonshine\b.* · Language model: scripted · Voice: piper\b")

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
        await expect(page.locator("#agentEngines")).to_have_text(_ENGINES)
        await screenshot(page, "page-before-call")
        await page.click("#startBtn")
        user = page.locator('#transcript [data-role="user"]:not(.interim)')
        agent = page.locator('#transcript [data-role="agent"]:not(.interim)')
        await expect(user).to_have_count(1, timeout=_TALK_MS)
        await expect(user).to_contain_text(re.compile(r"what are your? opening", re.IGNORECASE))
        await expect(agent).to_have_count(2, timeout=_TALK_MS)
        await expect(agent.nth(1)).to_contain_text("On Mondays we are closed")
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


_QUESTION_MS = 2_500
_EARLY_MS = 200
_TAKEN_S = """async () => {
  const report = await window.connections[0].getStats();
  return [...report.values()].find((entry) => entry.type === 'media-source').totalSamplesDuration;
}"""

# What the page sends on the data channel about its button.
_KEEP_TALK = """
window.talk = [];
const send = RTCDataChannel.prototype.send;
RTCDataChannel.prototype.send = function (text) {
  const message = JSON.parse(text);
  if (message.type === 'talk') window.talk.push(message.pressed);
  return send.call(this, text);
};
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def radio(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """An agent with push-to-talk, and one without. In a database of their own: beside the other
    deployment of this module, either would be given the other's callers."""
    agents = tmp_path_factory.mktemp("agents")
    for file in ("tests/scenarios/agents/radio.yaml", "deploy/agents/echo.yaml"):
        shutil.copy(_ROOT / file, agents)
    async with deployed(broker_url.removesuffix("/0") + "/1", ANTIPHON_AGENTS_DIR=str(agents)) as running:
        yield running


async def talk_of(page: Page) -> list[bool]:
    told: list[bool] = await page.evaluate("window.talk.splice(0)")
    return told


async def until_taken(page: Page, of_file_ms: int) -> None:
    """The beginning of the microphone's file."""
    async with asyncio.timeout(_TALK_MS / 1000):
        while await page.evaluate(_TAKEN_S) * 1000 < of_file_ms:  # noqa: ASYNC110 (statistics have no event)
            await asyncio.sleep(0.02)


async def test_an_agent_with_push_to_talk_is_not_deaf_on_the_page(radio: Deployment, microphone: Path) -> None:
    async with chromium(microphone) as browser:
        page = await browser.new_page()
        await page.add_init_script(_KEEP_CONNECTIONS + _KEEP_TALK)
        await page.goto(f"http://127.0.0.1:{radio.port}/?agent=radio")
        button = page.locator("#talkBtn")
        await expect(button).to_be_visible()
        await expect(button).to_be_disabled()
        await page.select_option("#agent", "echo")
        await expect(button).to_be_hidden()
        await expect(page.locator("#agentEngines")).to_be_hidden()
        await page.select_option("#agent", "radio")
        await page.click("#startBtn")
        await expect(button).to_be_enabled(timeout=_TALK_MS)
        agent = page.locator('#transcript [data-role="agent"]:not(.interim)')
        await expect(agent).to_have_count(1, timeout=_TALK_MS)
        await button.hover()
        await until_taken(page, QUESTION_AT_MS - _EARLY_MS)
        await page.mouse.down()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await screenshot(page, "page-talking")
        await until_taken(page, QUESTION_AT_MS + _QUESTION_MS)
        await page.mouse.up()
        await expect(agent).to_have_count(2, timeout=_TALK_MS)
        await expect(agent.nth(1)).to_contain_text("We are open every day", timeout=_TALK_MS)
        assert await talk_of(page) == [True, False]
        await screenshot(page, "page-push-to-talk")
        await page.click("#stopBtn")
        await expect(button).to_be_disabled()


async def test_the_button_to_talk_never_stays_pressed(radio: Deployment, microphone: Path) -> None:
    async with chromium(microphone) as browser:
        page = await browser.new_page()
        await page.add_init_script(_KEEP_TALK)
        await page.goto(f"http://127.0.0.1:{radio.port}/?agent=radio")
        await page.click("#startBtn")
        button = page.locator("#talkBtn")
        await expect(button).to_be_enabled(timeout=_TALK_MS)
        for key in (" ", "Enter"):
            await button.focus()
            await page.keyboard.down(key)
            await page.keyboard.down(key)  # The keyboard repeats it.
            await page.keyboard.up(key)
            assert await talk_of(page) == [True, False]
            await page.keyboard.down(key)
            await page.focus("#textInput")
            assert await talk_of(page) == [True, False]
            await page.keyboard.up(key)
        await page.keyboard.type("two words")
        assert await page.input_value("#textInput") == "two words"

        box = await button.bounding_box()
        assert box is not None
        x, y = box["x"] + 20, box["y"] + 20
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(x, 5)
        assert await talk_of(page) == [True]
        await page.mouse.up()
        assert await talk_of(page) == [False]
        await page.mouse.move(x, y)
        await page.mouse.down(button="right")
        await page.mouse.up(button="right")
        assert await talk_of(page) == []
        await page.mouse.down()
        await page.evaluate("window.dispatchEvent(new Event('blur'))")
        assert await talk_of(page) == [True, False]
        await page.mouse.up()

        fingers = await browser.new_cdp_session(page)
        for end in ("touchEnd", "touchCancel"):
            await fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
            assert await talk_of(page) == [True]
            await fingers.send("Input.dispatchTouchEvent", {"type": end, "touchPoints": []})
            assert await talk_of(page) == [False]

        await page.mouse.down()
        await page.evaluate("document.getElementById('stopBtn').click()")
        await expect(button).to_be_disabled()
        await expect(button).to_have_attribute("aria-pressed", "false")


async def test_a_refusal_is_shown_in_words(deployment: Deployment, microphone: Path) -> None:
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
