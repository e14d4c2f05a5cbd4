"""Calls with the client that a gateway serves, in a real Chromium, and what their people hear."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import BrowserContext, Page, Route

from callers.voice import RATE
from shared.audio import as_samples
from tests.browser.peer import until
from tests.integration.talk import TEXT
from tests.load.heard_words import HeardWord, silences
from tests.load.tone_words import Account, account, name, numbers, words_in

_FOLDER = Path(__file__).parent
_FILES = [*(_FOLDER / "client_page").iterdir(), _FOLDER / "peer_page" / "recorder.js"]
_PAGE = "/test/index.html"
_IS_LOADED = "typeof call === 'function'"
_REPLY_TIMEOUT_S = 30.0
_LOOK_EVERY_S = 0.2
WHOLE = Account(0, 0, 0)


class Heard(NamedTuple):
    words: Account
    silence_s: float
    """The longest between two words, beyond the agent's own pauses."""

    def __str__(self) -> str:
        lost, doubled, damaged = self.words
        return f"{1000 * self.silence_s:.0f} ms of silence, words lost {lost}, doubled {doubled}, damaged {damaged}"


class ClientCall:
    """One page with one call. Times are milliseconds of its recording."""

    def __init__(self, page: Page, text: str) -> None:
        self.page = page
        self._text = text
        self._last_word = name(numbers(text)[-1])

    async def connect(self, **config: object) -> None:
        await self.page.evaluate("(config) => call(config)", config)

    async def reload(self) -> None:
        await self.page.reload()
        await self.page.wait_for_function(_IS_LOADED)

    async def get(self, expression: str) -> Any:
        """The value of JavaScript about `client`, `events`, `phases`, `ended`, `opened` and `signals`."""
        return await self.page.evaluate(f"async () => await ({expression})")

    async def until(self, condition: str, timeout_s: float = 20.0) -> None:
        await until(self.page, condition, timeout_s)

    async def now_ms(self) -> float:
        return float(await self.get("heardMs"))

    async def ask(self, heard_ms: float = 1_500) -> float:
        """Asks for the agent's text, and waits until so much of it was heard. Returns when it was asked."""
        from_ms = await self.now_ms()
        await self.until("client.sendText('What do you have?')")
        await self.until(f"loudMs({from_ms}) > {heard_ms}")
        return from_ms

    async def reply(self, from_ms: float) -> Heard:
        """The whole reply. Raises `TimeoutError` if its last word is not heard."""
        async with asyncio.timeout(_REPLY_TIMEOUT_S):
            words: list[HeardWord] = []
            while not words or words[-1].text != self._last_word:
                await asyncio.sleep(_LOOK_EVERY_S)
                words = await self._words(from_ms) if await self.get(f"isSaid({from_ms})") else []
        gaps = [end_s - begin_s for begin_s, end_s in silences(words, words[0].at_s)]
        return Heard(account(self._text, [word.text for word in words]), max(gaps, default=0.0))

    async def assert_goes_on(self) -> None:
        """The agent is heard again, whole."""
        heard = await self.reply(await self.ask())
        assert heard.words == WHOLE, heard

    async def assert_events_came_once(self) -> None:
        seqs = await self.get("events.map(({ seq }) => seq)")
        assert len(set(seqs)) == len(seqs)
        said = await self.get("client.state.transcript.filter(({ role }) => role === 'user').length")
        asked = await self.get("events.filter(({ type, role }) => type === 'transcript' && role === 'user').length")
        assert said == asked > 0

    async def _words(self, from_ms: float) -> list[HeardWord]:
        encoded: str = await self.get(f"heard({from_ms})")
        pcm = as_samples(base64.b64decode(encoded))
        return [HeardWord(word.text, word.first_sample / RATE) for word in words_in(pcm, RATE)]


async def serve_page(browser: BrowserContext) -> None:
    """The page lies beside the client, at any gateway's origin."""
    files = {file.name: file for file in _FILES}

    async def answer(route: Route) -> None:
        await route.fulfill(path=files[route.request.url.rpartition("/")[2]])

    await browser.route("**/test/*", answer)


async def opened(browser: BrowserContext, origin: str, text: str = TEXT) -> ClientCall:
    """A page that has not called yet. `text` is what the agent replies."""
    call = ClientCall(await browser.new_page(), text)
    await call.page.goto(origin + _PAGE)
    await call.page.wait_for_function(_IS_LOADED)
    return call


@contextlib.asynccontextmanager
async def calling(
    browser: BrowserContext, origin: str, agent: str = "counting", text: str = TEXT, **config: object
) -> AsyncIterator[ClientCall]:
    """A call that is connected; hangs up on leaving."""
    call = await opened(browser, origin, text)
    try:
        await call.connect(agentId=agent, **config)
        yield call
        await call.get("client.disconnect()")
    finally:
        await call.page.close()
