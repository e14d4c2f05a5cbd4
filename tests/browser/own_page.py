"""The gateway's own page, as a person uses it."""

import asyncio

from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.integration.deployment import Deployment

TALK_MS = 40_000
_TRY_AGAIN_S = 1.0

# What the page shows, as it changes.
_WATCH = """
const before = new WeakMap();
window.shown = [];
addEventListener('voice-agent-state', ({ target }) => {
  target.shadowRoot.querySelectorAll('#transcript li[data-role]').forEach((item, index) => {
    const text = item.querySelector('.text').textContent;
    const isFinal = item.classList.contains('final');
    if (before.get(item) === `${isFinal} ${text}`) return;
    before.set(item, `${isFinal} ${text}`);
    window.shown.push({ index, role: item.dataset.role, isFinal, text });
  });
});
"""
_SETTLED = "() => ['connected', 'failed'].includes(document.querySelector('voice-agent').dataset.phase)"


async def opened(browser: BrowserContext, server: Deployment, agent: str, script: str = "") -> Page:
    """`script` runs before those of the page. Playwright looks into the element, whose shadow root is open."""
    page = await browser.new_page()
    await page.add_init_script(f"{{ {_WATCH} {script} }}")
    await page.goto(f"http://127.0.0.1:{server.port}/?agent={agent}")
    await expect(page.locator("#callBtn")).to_be_enabled()
    return page


async def call(page: Page) -> None:
    """Until both can hear each other. A busy machine refuses callers, who try again."""
    async with asyncio.timeout(TALK_MS / 1000):
        while True:
            await page.locator("#callBtn").click()
            await page.wait_for_function(_SETTLED, timeout=TALK_MS)
            if await page.locator("voice-agent").get_attribute("data-phase") == "connected":
                break
            await expect(page.locator("#problem")).to_have_attribute("data-code", "no_capacity")
            await asyncio.sleep(_TRY_AGAIN_S)
    await expect(said(page, "agent").first).to_be_visible(timeout=TALK_MS)


async def hang_up(page: Page) -> None:
    """Without it, the server waits for a page that is reloaded."""
    await page.locator("#callBtn.in-call").click()
    await expect(page.locator("voice-agent")).to_have_attribute("data-phase", "ended")


async def write(page: Page, text: str) -> None:
    """Instead of speaking."""
    await expect(page.locator("#textInput")).to_be_enabled(timeout=TALK_MS)
    await page.fill("#textInput", text)
    await page.keyboard.press("Enter")


def said(page: Page, role: str) -> Locator:
    """Final turns."""
    return page.locator(f'#transcript li.final[data-role="{role}"]')


async def until_heard(page: Page, words: str) -> None:
    """Of the turn that the agent is in the middle of."""
    await expect(page.locator('#transcript li.interim[data-role="agent"]')).to_contain_text(words, timeout=TALK_MS)
