"""axe, which finds what people with a screen reader, a keyboard or weak eyes cannot use."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

_SCRIPT = Path(__file__).resolve().parents[2] / "client" / "node_modules" / "axe-core" / "axe.min.js"
"""`npm ci` in `client/` brings it, as does `make check`."""
_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = "(levels) => axe.run({ runOnly: levels }).then(({ violations }) => violations)"


async def violations(page: Page) -> list[str]:
    """Of WCAG 2.2 AA, in the light and in the dark: the rule, and the elements that break it."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_SCRIPT.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found += await page.evaluate(_RUN, _LEVELS)
    await page.emulate_media(color_scheme="null")
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in found]
