"""How the gateway's own page looks and who can use it: contrast, names, keys, small screens, right-to-left, motion."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Response, ViewportSize, expect

from tests.browser.axe import violations
from tests.browser.chromium import chromium, screenshot
from tests.browser.own_page import TALK_MS, call, hang_up, opened, said, until_heard, write
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

_MAX_PAGE_BYTES = 100_000
_PHONE = ViewportSize(width=360, height=640)
_DESK = ViewportSize(width=1280, height=720)
_MENU = "What is on the menu tonight?"

_FOCUSED = """() => {
  let focused = document.activeElement;
  while (focused.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  return focused.id || focused.localName;
}"""
# From top to bottom, those that are seen.
_BOXES = """() => {
  const element = document.querySelector('voice-agent');
  const inside = '.presence .status .controls #talkBtn #problem #conversation #textForm'.split(' ');
  const all = ['header', '#agentDescription', ...inside, '#agentEngines'].map((selector) =>
    [selector, element.shadowRoot.querySelector(selector) ?? document.querySelector(selector)]);
  return all.filter(([, { hidden }]) => !hidden).map(([selector, box]) => {
    const { top, bottom, left, right } = box.getBoundingClientRect();
    return { selector, top, bottom, left, right };
  });
}"""
_PLACES = """() => '.presence,#callBtn,#muteBtn,.word,#conversation,#textInput'.split(',').map((selector) =>
  [selector, document.querySelector('voice-agent').find(selector).getBoundingClientRect().top])"""
# For two seconds: how often the picture moved, and how often anything else has changed.
_WATCH_MOTION = """async () => {
  const { shadowRoot } = document.querySelector('voice-agent');
  const agent = shadowRoot.querySelector('.presence .agent');
  let changes = 0, moves = 0, before = '';
  const observer = new MutationObserver((records) => {
    changes += records.some(({ attributeName }) => attributeName !== 'style');
  });
  observer.observe(shadowRoot, { subtree: true, childList: true, characterData: true, attributes: true });
  const end = performance.now() + 2000;
  while (performance.now() < end) {
    await new Promise(requestAnimationFrame);
    moves += agent.style.transform !== before;
    before = agent.style.transform;
  }
  observer.disconnect();
  return { changes, moves };
}"""


async def test_the_page_is_small(page_server: Deployment, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await browser.new_page()
        responses: list[Response] = []
        page.on("response", lambda response: responses.append(response))
        await page.goto(f"http://127.0.0.1:{page_server.port}/", wait_until="networkidle")
        sizes = {response.url: len(await response.body()) for response in responses}
    print(sizes)
    assert any(url.endswith("/client/core/connection.js") for url in sizes)
    assert sum(sizes.values()) < _MAX_PAGE_BYTES


async def test_everybody_can_read_and_use_the_page_before_in_and_after_a_call(
    page_server: Deployment, silence: Path
) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "desk")
        assert await violations(page) == []
        await screenshot(page, "page-before-call")
        places = await page.evaluate(_PLACES)
        await call(page)
        await write(page, _MENU)
        await until_heard(page, "Tonight")
        assert await page.evaluate(_PLACES) == places, "nothing jumps"
        assert await violations(page) == []
        await page.locator("#muteBtn").click()
        await page.get_by_text("Devices").click()
        await expect(page.locator("#microphone")).to_be_visible()
        assert await violations(page) == []
        await screenshot(page, "page-in-call")
        await hang_up(page)
        assert await violations(page) == []
        await page.route("**/api/ice-servers", lambda route: route.abort())
        await page.locator("#callBtn").click()
        await expect(page.locator("#problem")).to_contain_text("The server cannot be reached. Check the network")
        assert await violations(page) == []
        await screenshot(page, "page-failed")


async def test_a_call_needs_only_a_keyboard_and_every_control_has_a_name(
    page_server: Deployment, silence: Path
) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "desk")
        press = page.keyboard.press
        assert await _tab_order(page, 3) == ["agent", "callBtn", "conversation"]
        await expect(page.get_by_role("combobox", name="Agent")).to_have_value("desk")
        await page.get_by_role("button", name="Call", exact=True).focus()
        await press("Space")
        await expect(said(page, "agent")).to_have_count(1, timeout=TALK_MS)
        await expect(page.locator("#callBtn")).to_be_focused()
        await page.get_by_text("Devices").focus()
        assert await _tab_order(page, 1) == ["muteBtn"]
        await press("Space")
        await expect(page.get_by_role("button", name="Mute", pressed=True)).to_be_visible()
        await press("Space")
        await expect(page.get_by_role("button", name="Mute", pressed=False)).to_be_visible()
        order = ["callBtn", "interruptBtn", "conversation", "textInput", "textBtn"]
        assert await _tab_order(page, len(order)) == order
        for role, name in [
            ("button", "Hang up"),
            ("button", "Stop the agent"),
            ("textbox", "Message"),
            ("log", "Conversation"),
        ]:
            await expect(page.get_by_role(role, name=name)).to_be_visible()  # type: ignore[arg-type]
        await page.get_by_role("textbox", name="Message").focus()
        await page.keyboard.type(_MENU)
        await press("Enter")
        await until_heard(page, "fresh pasta")
        await press("Escape")
        await expect(page.locator("#transcript .interrupted")).to_have_count(1)
        await page.get_by_role("button", name="Hang up").focus()
        await press("Space")
        await expect(page.get_by_role("status")).to_have_text("Call ended")


async def _tab_order(page: Page, count: int) -> list[str]:
    focused = []
    for _ in range(count):
        await page.keyboard.press("Tab")
        focused.append(await page.evaluate(_FOCUSED))
    return focused


async def test_nothing_overlaps_on_a_phone_or_a_desk(page_server: Deployment, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "radio")
        await _fits(page)
        await call(page)
        await page.get_by_text("Devices").click()
        for _ in range(3):
            await write(page, "What are your opening hours, and how do I find your restaurant?")
        await expect(said(page, "user")).to_have_count(3, timeout=TALK_MS)
        await _fits(page)
        await page.set_viewport_size(_PHONE)
        await expect(page.locator("#transcript li").last).to_be_in_viewport()
        await screenshot(page, "page-phone")
        await page.locator("#conversation").evaluate("(pane) => pane.scrollTo(0, 0)")
        await write(page, "Thank you.")
        await expect(said(page, "user")).to_have_count(4, timeout=TALK_MS)
        # Whoever reads what was said before is left in peace.
        await expect(said(page, "agent").first).to_be_in_viewport()
        await hang_up(page)
        await page.route("**/api/ice-servers", lambda route: route.abort())
        await page.locator("#callBtn").click()
        await expect(page.locator("#problem")).to_be_visible()
        await _fits(page)


async def _fits(page: Page) -> None:
    for size in (_PHONE, _DESK):
        await page.set_viewport_size(size)
        boxes: list[dict[str, Any]] = await page.evaluate(_BOXES)
        for upper, lower in itertools.pairwise(boxes):
            assert upper["bottom"] <= lower["top"] + 0.5, (upper, lower)
        for box in boxes:
            assert 0 <= box["left"] <= box["right"] <= size["width"], box
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]


async def test_words_and_pages_from_right_to_left(page_server: Deployment, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "desk")
        await page.set_viewport_size(_PHONE)
        await call(page)
        await write(page, "שלום")
        user, agent = said(page, "user"), said(page, "agent").first
        await expect(user).to_have_count(1, timeout=TALK_MS)
        assert await user.locator(".text").evaluate("(text) => getComputedStyle(text).direction") == "rtl"
        assert await user.locator(".speaker").evaluate("(name) => getComputedStyle(name).direction") == "ltr"
        assert await _left(user) > await _left(agent)
        await page.evaluate("() => { document.documentElement.dir = 'rtl'; }")
        await _fits(page)
        await page.set_viewport_size(_PHONE)
        assert await _left(user) < await _left(agent)
        assert await _left(page.locator("#textBtn")) < await _left(page.locator("#textInput"))
        await screenshot(page, "page-right-to-left")
        await hang_up(page)


async def _left(locator: Any) -> float:
    box = await locator.bounding_box()
    assert box is not None
    return float(box["x"])


async def test_the_picture_moves_without_layout_and_not_for_those_who_want_no_motion(
    page_server: Deployment, silence: Path
) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "desk")
        await call(page)
        chromium_itself = await browser.new_cdp_session(page)
        await chromium_itself.send("Performance.enable")

        async def layouts() -> int:
            metrics = (await chromium_itself.send("Performance.getMetrics"))["metrics"]
            return int(next(metric["value"] for metric in metrics if metric["name"] == "LayoutCount"))

        await write(page, _MENU)
        await until_heard(page, "Tonight")
        before = await layouts()
        motion = await page.evaluate(_WATCH_MOTION)
        during = await layouts() - before
        print(f"{during} layouts, {motion['moves']} moves of the picture, {motion['changes']} other changes")
        assert motion["moves"] > 2 * during > 0
        assert during <= 3 * motion["changes"] + 4

        await page.emulate_media(reduced_motion="reduce")
        for side in ("agent", "caller"):
            style = await page.locator(f".presence .{side}").evaluate(
                "(disc) => [getComputedStyle(disc).transform, getComputedStyle(disc).animationName]"
            )
            assert style == ["none", "none"]
        await expect(page.locator(".status .word")).to_have_text(re.compile("Speaking|Listening"))
        await hang_up(page)
