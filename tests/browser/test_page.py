"""The gateway's own page in a real Chromium: call, talk, read."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import chromium, screenshot
from tests.browser.conftest import QUESTION_AT_MS
from tests.browser.own_page import TALK_MS, call, hang_up, opened, said, until_heard, write
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

_MAX_CONCEALED_SHARE = 0.02
_ENGINES = re.compile(r"^Recogniser: moonshine\b.* · Language model: scripted · Voice: piper\b")
_STAGES = ["endpointMs", "sttFinalMs", "llmFirstTokenMs", "ttsFirstAudioMs", "firstPacketMs"]

# The page keeps its client to itself; tapping the constructor is how a test sees its statistics.
_KEEP_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...config) { super(...config); window.connections.push(this); }
};
"""
_INBOUND = """async () => {
  const report = await window.connections.at(-1).getStats();
  return [...report.values()].find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'audio');
}"""


async def test_a_person_talks_with_the_front_desk(page_server: Deployment, microphone: Path) -> None:
    async with chromium(microphone) as browser:
        page = await opened(browser, page_server, "front-desk", _KEEP_CONNECTIONS)
        await expect(page.locator("#agentEngines")).to_have_text(_ENGINES)
        await call(page)
        user, agent = said(page, "user"), said(page, "agent")
        await expect(user).to_have_count(1, timeout=TALK_MS)
        await expect(user).to_contain_text(re.compile(r"your open", re.IGNORECASE))
        await expect(agent).to_have_count(2, timeout=TALK_MS)
        await expect(agent.nth(1)).to_contain_text("On Mondays we are closed")
        await expect(page.locator(".status .word")).to_have_text("Listening")
        heard: dict[str, Any] = await page.evaluate(_INBOUND)
        stages = agent.nth(1).locator(".latency .bar > span")
        assert await stages.evaluate_all("(spans) => spans.map((span) => span.className)") == _STAGES
        await expect(
            agent.nth(1).get_by_role("img", name=re.compile(r"^Answered after \d\.\d s: end of turn \d+ ms"))
        ).to_be_visible()
        await expect(agent.nth(0).locator(".latency")).to_have_count(0)  # nobody waited for the greeting
        await hang_up(page)
        shown: list[dict[str, Any]] = await page.evaluate("window.shown")
    assert heard["totalAudioEnergy"] > 0.01
    assert heard["concealedSamples"] <= _MAX_CONCEALED_SHARE * heard["totalSamplesReceived"]
    for role in ("user", "agent"):
        (*interim, final) = [
            change for change in shown if change["role"] == role and change["index"] == (role == "agent") + 1
        ]
        assert interim, f"the words of the {role} appear as they are spoken"
        assert [change["isFinal"] for change in (*interim, final)] == [False] * len(interim) + [True]
        if role == "agent":
            assert all(final["text"].startswith(change["text"]) for change in interim), "as far as they were heard"


async def test_a_turn_that_is_interrupted_is_marked_and_never_left_grey(page_server: Deployment, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "desk", _KEEP_CONNECTIONS)
        await call(page)
        last, grey = page.locator("#transcript li").last, page.locator("#transcript .interim")
        ways: list[Callable[[], Awaitable[None]]] = [
            page.locator("#interruptBtn").click,
            lambda: page.keyboard.press("Escape"),
            lambda: hang_up(page),
        ]
        for interrupt in ways:
            await write(page, "What is on the menu tonight?")
            await until_heard(page, "fresh pasta")
            await interrupt()
            await expect(last).to_have_class("final interrupted")
            await expect(last.locator(".mark")).to_have_text("interrupted")
            await expect(last).not_to_contain_text("dessert")
            await expect(grey).to_have_count(0)
        assert await page.evaluate("window.connections.length") == 1


async def test_a_muted_caller_is_still_in_the_call(page_server: Deployment, microphone: Path) -> None:
    async with chromium(microphone) as browser:
        page = await opened(browser, page_server, "desk", _KEEP_CONNECTIONS)
        await call(page)
        mute = page.get_by_role("button", name="Mute")
        await mute.click()
        await expect(mute).to_have_attribute("aria-pressed", "true")
        await expect(page.locator(".status .word")).to_have_text("Muted")
        await until_taken(page, QUESTION_AT_MS + _QUESTION_MS)
        await write(page, "What is on the menu tonight?")
        await until_heard(page, "Tonight we have")
        await expect(said(page, "user")).to_have_text(re.compile("What is on the menu tonight"))
        await mute.click()
        await expect(mute).to_have_attribute("aria-pressed", "false")
        await hang_up(page)
        assert await page.evaluate("window.connections.length") == 1


async def test_the_tools_that_an_agent_uses_are_shown(page_server: Deployment, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "clerk")
        await call(page)
        await write(page, "A table for four on Friday please.")
        tool = page.locator("#transcript .tool")
        await expect(tool).to_have_text(re.compile(r"^book_table\s*done in \d\.\d\d s$"), timeout=TALK_MS)
        await expect(tool).to_have_attribute("title", '{"people":4,"day":"friday"}')
        await expect(said(page, "agent")).to_have_count(2, timeout=TALK_MS)
        kinds = await page.locator("#transcript li").evaluate_all("(all) => all.map((li) => li.dataset.role ?? 'tool')")
        assert kinds == ["agent", "user", "tool", "agent"]
        await screenshot(page, "page-tool")
        await hang_up(page)


_QUESTION_MS = 2_500
_EARLY_MS = 200
_TAKEN_S = """async () => {
  const report = await window.connections.at(-1).getStats();
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


async def talk_of(page: Page) -> list[bool]:
    told: list[bool] = await page.evaluate("window.talk.splice(0)")
    return told


async def until_taken(page: Page, of_file_ms: int) -> None:
    """The beginning of the microphone's file."""
    async with asyncio.timeout(TALK_MS / 1000):
        while await page.evaluate(_TAKEN_S) * 1000 < of_file_ms:  # noqa: ASYNC110 (statistics have no event)
            await asyncio.sleep(0.02)


async def test_an_agent_with_push_to_talk_is_not_deaf_on_the_page(page_server: Deployment, microphone: Path) -> None:
    async with chromium(microphone) as browser:
        page = await opened(browser, page_server, "radio", _KEEP_CONNECTIONS + _KEEP_TALK)
        button = page.locator("#talkBtn")
        await expect(button).to_be_visible()
        await expect(button).to_be_disabled()
        await page.select_option("#agent", "echo")
        await expect(button).to_be_hidden()
        await expect(page.locator("#agentEngines")).to_be_hidden()
        await page.select_option("#agent", "radio")
        await call(page)
        await expect(button).to_be_enabled(timeout=TALK_MS)
        agent = said(page, "agent")
        await expect(agent).to_have_count(1, timeout=TALK_MS)
        await button.hover()
        await until_taken(page, QUESTION_AT_MS - _EARLY_MS)
        await page.mouse.down()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await screenshot(page, "page-talking")
        await until_taken(page, QUESTION_AT_MS + _QUESTION_MS)
        await page.mouse.up()
        await expect(agent).to_have_count(2, timeout=TALK_MS)
        await expect(agent.nth(1)).to_contain_text("We are open every day", timeout=TALK_MS)
        assert await talk_of(page) == [True, False]
        await hang_up(page)
        await expect(button).to_be_disabled()


async def test_the_button_to_talk_never_stays_pressed(page_server: Deployment, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "radio", _KEEP_TALK)
        await call(page)
        button = page.locator("#talkBtn")
        await expect(button).to_be_enabled(timeout=TALK_MS)
        await expect(button).to_be_focused()  # the space key that has begun the call is now to talk
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
        await page.locator("#callBtn").evaluate("(button) => button.click()")
        await expect(button).to_be_disabled()
        await expect(button).to_have_attribute("aria-pressed", "false")


async def test_a_server_that_does_not_list_its_agents_takes_the_name_of_one(
    page_server: Deployment, silence: Path
) -> None:
    async with chromium(silence) as browser:
        page = await browser.new_page()
        await page.route("**/api/agents", lambda route: route.fulfill(json={"agents": []}))
        await page.goto(f"http://127.0.0.1:{page_server.port}/")
        await expect(page.locator("#agent")).to_be_hidden()
        await expect(page.locator("#callBtn")).to_be_disabled()
        await page.get_by_role("textbox", name="Agent id").fill("echo")
        await page.keyboard.press("Tab")
        await expect(page.locator("#callBtn")).to_be_enabled()
        await page.reload()
        await expect(page.locator("#agentName")).to_have_value("echo")
        await page.locator("#callBtn").click()
        await expect(page.locator(".status .word")).to_have_text("Listening", timeout=TALK_MS)
        await expect(page.locator("#agentName")).to_be_disabled()
        await hang_up(page)
        await page.unroute("**/api/agents")
        await page.route("**/api/agents", lambda route: route.abort())
        await page.goto(f"http://127.0.0.1:{page_server.port}/")
        await expect(page.locator("#pageProblem")).to_contain_text("Check the network")


async def test_a_full_server_says_when_to_try_again(page_server: Deployment, silence: Path) -> None:
    await asyncio.to_thread(page_server.pipeline.stop)
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "echo")
        await page.locator("#callBtn").click()
        problem = page.locator("#problem")
        await expect(problem).to_have_attribute("data-code", "no_capacity", timeout=10_000)
        await expect(problem).to_have_text(re.compile(r"Please try again in \d+ s\.$"))
        await expect(page.locator("#callBtn")).to_be_enabled()
        await expect(page.locator("#agent")).to_be_enabled()
