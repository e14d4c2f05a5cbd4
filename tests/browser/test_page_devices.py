"""Microphones and loudspeakers on the gateway's own page: those that are missing, refused, chosen, unplugged."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import NO_NAMES, chromium
from tests.browser.own_page import TALK_MS, call, hang_up, opened, said, write
from tests.browser.peer import until
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Chromium's own fake devices cannot be used by another program, or be unplugged.
_KEEP_TRACKS = """
window.tracks = [];
const open = window.MediaDevices?.prototype.getUserMedia;
if (open) MediaDevices.prototype.getUserMedia = async function (constraints) {
  if (window.fault) throw new DOMException('', window.fault);
  const stream = await open.call(this, constraints);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""
_UNPLUG = """() => {
  const track = window.tracks.at(-1);
  track.stop();
  track.dispatchEvent(new Event('ended'));
}"""
_LISTS = "() => ['microphone', 'speaker'].map((id) => document.querySelector('voice-agent').find(`#${id}`).length)"
# Chromium blocks no page that has the microphone; other browsers do.
_BLOCK_SOUND = """
window.clicks = 0;
addEventListener('click', () => { window.clicks += 1; }, true);
window.played = [];
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = async function () {
  if (!window.clicks) throw new DOMException('', 'NotAllowedError');
  window.played.push(this);
  return play.call(this);
};
"""
_IS_HEARD = "played.some((audio) => !audio.paused && audio.currentTime > 0.5)"


async def _fails(page: Page, code: str, cure: str) -> None:
    await page.locator("#callBtn").click()
    problem = page.get_by_role("alert").filter(has_text=cure)
    await expect(problem).to_be_visible()
    await expect(problem).to_have_attribute("data-code", code)
    await expect(page.locator(".status .word")).to_have_text("Call failed")
    await expect(page.locator("#callBtn")).to_have_text("Call")


async def test_a_caller_whose_microphone_does_not_work_is_told_what_to_do(
    page_server: Deployment, silence: Path
) -> None:
    async with chromium(silence, "--use-fake-ui-for-media-stream=deny") as browser:
        page = await opened(browser, page_server, "echo")
        await _fails(page, "microphone_denied", "Allow the microphone in the address bar")
    async with chromium(None, f"--host-resolver-rules=MAP phone.test 127.0.0.1, {NO_NAMES}") as browser:
        page = await opened(browser, page_server, "echo", _KEEP_TRACKS)
        await _fails(page, "microphone_missing", "Plug a microphone in")
        await page.evaluate("() => { window.fault = 'NotReadableError'; }")
        await _fails(page, "microphone_busy", "Close the other program")
        await page.goto(f"http://phone.test:{page_server.port}/?agent=echo")
        await _fails(page, "insecure_page", "Open this page by https")


async def test_a_caller_chooses_another_microphone_and_loudspeaker_while_talking(
    page_server: Deployment, silence: Path
) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "desk", _KEEP_TRACKS)
        await expect(page.locator(".devices")).to_be_hidden()
        await call(page)
        await page.get_by_text("Devices").click()
        assert min(await page.evaluate(_LISTS)) > 1
        microphone = page.get_by_label("Microphone")
        other = await microphone.locator("option").last.text_content() or ""
        await microphone.select_option(label=other)
        await until(page, "tracks.length === 2 && tracks[0].readyState === 'ended'")
        assert await page.evaluate("[tracks[1].label, tracks[1].enabled]") == [other, True]
        speakers = page.get_by_label("Loudspeaker")
        await speakers.select_option(index=1)
        ways: list[Callable[[], Awaitable[None]]] = [
            page.locator(".status").click,
            lambda: page.keyboard.press("Escape"),
        ]
        for closed_by in ways:
            await closed_by()
            await expect(speakers).to_be_hidden()
            await page.get_by_text("Devices").click()
        await expect(page.locator("#problem")).to_be_hidden()
        await page.evaluate(_UNPLUG)
        await until(page, "tracks.length === 3 && tracks[2].readyState === 'live'")
        assert await page.evaluate("tracks[2].label !== tracks[1].label"), "the default one takes its place"
        await page.evaluate("() => { window.fault = 'NotFoundError'; }")
        await page.evaluate(_UNPLUG)
        await expect(page.locator("#problem")).to_contain_text("Plug a microphone in")
        await write(page, "What are your opening hours?")  # the call goes on
        await expect(said(page, "agent")).to_have_count(2, timeout=TALK_MS)
        await expect(page.locator("#problem")).to_be_hidden()
        await hang_up(page)
        assert await page.evaluate("tracks.map((track) => track.readyState)") == ["ended"] * 3


async def test_a_browser_that_blocks_the_sound_asks_for_a_click(page_server: Deployment, silence: Path) -> None:
    async with chromium(silence) as browser:
        page = await opened(browser, page_server, "desk", _BLOCK_SOUND)
        await page.evaluate("document.querySelector('voice-agent').connect()")
        button = page.get_by_role("button", name="Let the agent be heard")
        await expect(button).to_be_visible()
        assert not await page.evaluate(_IS_HEARD)
        await button.click()
        await expect(button).to_be_hidden()
        await until(page, _IS_HEARD)
        await hang_up(page)
