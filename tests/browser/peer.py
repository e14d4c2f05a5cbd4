"""Drives the caller of `peer_page/` in a real Chromium."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import BrowserContext, Page

from shared.audio import Pcm, as_samples
from tests.browser.origin import served

_PAGE_FOLDER = Path(__file__).parent / "peer_page"
_POLL_S = 0.05
_CONNECT_TIMEOUT_S = 30.0
_CALL = "async (options) => { window.peer = new Peer(options); return await peer.connect(); }"


class Peer:
    """One page with one call. Times are milliseconds of its recording."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def say(self, pcm: Pcm) -> None:
        """48 kHz mono. Returns when it is said."""
        await self.page.evaluate("(pcm) => peer.say(pcm)", base64.b64encode(pcm.astype("<i2").tobytes()).decode())

    async def until(self, condition: str, timeout_s: float = 20.0) -> None:
        """`condition` is JavaScript about `peer`; it may be a promise."""
        await until(self.page, condition, timeout_s)

    async def until_recorded(self, more_ms: float) -> None:
        """Wait for this time by the clock of the recording."""
        await self.until(f"peer.recordedMs >= {await self.get('recordedMs') + more_ms}")

    async def until_quiet(self) -> None:
        """Wait until something was heard and its last word is over."""
        await self.until("peer.loudMs > 0 && peer.quietMs > 600")

    async def get(self, name: str) -> Any:
        """An attribute of the caller."""
        return await self.page.evaluate(f"peer.{name}")

    async def run(self, statement: str) -> None:
        """JavaScript about `peer`."""
        await self.page.evaluate(f"async () => {{ await ({statement}); }}")

    async def do(self, call: str) -> Any:
        """Call a method, e.g. `restartIce()`; returns what it resolves to."""
        return await self.page.evaluate(f"async () => await peer.{call}")

    async def said(self, from_ms: float = 0) -> Pcm:
        return await self._recording("said", from_ms)

    async def heard(self, from_ms: float = 0) -> Pcm:
        return await self._recording("heard", from_ms)

    async def stats(self, entry_type: str) -> dict[str, Any]:
        """The one audio entry of this type in `getStats()`."""
        entries = [entry for entry in await self.do(f"stats('{entry_type}')") if entry.get("kind", "audio") == "audio"]
        assert len(entries) == 1, entries
        found: dict[str, Any] = entries[0]
        return found

    async def session(self) -> str:
        """The session's id, from the gateway."""
        events = await self.get("events")
        return str(next(event["sessionId"] for event in events if event["type"] == "session"))

    async def _recording(self, side: str, from_ms: float) -> Pcm:
        encoded: str = await self.do(f"recording('{side}', {from_ms})")
        return as_samples(base64.b64decode(encoded)).astype(np.int16)


async def until(page: Page, condition: str, timeout_s: float = 20.0) -> None:
    """Playwright's own waiting treats a promise as true."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                if await page.evaluate(f"async () => await ({condition})"):
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise AssertionError(f"not within {timeout_s:g} s: {condition}") from error


@contextlib.asynccontextmanager
async def calling(
    browser: BrowserContext,
    signaling_url: str,
    agent_id: str,
    configuration: dict[str, Any] | None = None,
    records: bool = True,
) -> AsyncIterator[Peer]:
    """A call that is connected; hangs up on leaving. `configuration` is an `RTCConfiguration`."""
    options = {"signalingUrl": signaling_url, "agentId": agent_id, "configuration": configuration, "records": records}
    with served(_PAGE_FOLDER) as origin:
        page = await browser.new_page()
        await page.goto(origin)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                # A busy machine refuses callers, who try again after the time that it names.
                while (refusal := await page.evaluate(_CALL, options)) is not None:
                    await page.evaluate("peer.close()")
                    assert refusal["code"] == "no_capacity", refusal
                    await asyncio.sleep(refusal["retryAfterMs"] / 1000)
            yield Peer(page)
        finally:
            await page.evaluate("peer.close()")
            await page.close()
