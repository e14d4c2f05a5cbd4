"""A real headless Firefox whose microphone gives a steady tone, driven by WebDriver BiDi.

Not by Playwright, whose BiDi commands Debian's Firefox does not know (`emulation.setMediaFeaturesOverride`).
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.fakes.ports import free_port

_EXECUTABLE = "/usr/bin/firefox-esr"
_START_TIMEOUT_S = 30.0
_PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
}


class FirefoxPage:
    """W3C WebDriver BiDi."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._context = ""

    async def begin(self) -> None:
        await self._do("session.new", capabilities={})
        tree = await self._do("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        await self._do("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def get(self, expression: str) -> Any:
        """The value of JavaScript that JSON can express; may be a promise."""
        told = await self._do(
            "script.evaluate",
            expression=f"(async () => JSON.stringify((await ({expression})) ?? null))()",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert told["type"] == "success", told["exceptionDetails"]["text"]
        return json.loads(told["result"]["value"])

    async def until(self, condition: str, timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not await self.get(condition):  # noqa: ASYNC110 (a page has no event for everything)
                await asyncio.sleep(0.1)

    async def _do(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._ids)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(await self._connection.recv())).get("id") != number:
            pass  # an event
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result


@contextlib.asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[FirefoxPage]:
    """`profile` is an empty folder."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    port = free_port()
    options = ["--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", str(port)]
    process = await asyncio.create_subprocess_exec(
        _EXECUTABLE, *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        connection = await _connected(f"ws://127.0.0.1:{port}/session")
        async with connection:
            page = FirefoxPage(connection)
            await page.begin()
            yield page
    finally:
        process.terminate()
        await process.wait()


async def _connected(url: str) -> ClientConnection:
    async with asyncio.timeout(_START_TIMEOUT_S):
        while True:
            try:
                return await connect(url, max_size=None)
            except OSError:
                await asyncio.sleep(0.2)
