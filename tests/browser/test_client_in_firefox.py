"""The client in a real Firefox, whose microphone gives a steady tone: it hears the agent, and the agent hears it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, async_playwright

from tests.browser.client_call import ClientCall, opened, serve_page
from tests.integration.deployment import deployed
from tests.integration.talk import AGENT, TEXT, write_agent

Record = Callable[[str, object], None]
_PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # Without these there is no way to a server on this machine.
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
}
_AUDIBLE = 0.01
"""Audio energy (W3C webrtc-stats): a second at a tenth of full scale."""


@contextlib.asynccontextmanager
async def firefox() -> AsyncIterator[BrowserContext]:
    """Debian's, by WebDriver BiDi."""
    async with async_playwright() as playwright:
        browser = await playwright.firefox.launch(
            channel="moz-firefox", executable_path="/usr/bin/firefox-esr", firefox_user_prefs=_PREFERENCES
        )
        try:
            yield await browser.new_context()
        finally:
            await browser.close()


async def test_a_call_in_firefox(broker_url: str, tmp_path: Path, record_property: Record) -> None:
    write_agent(tmp_path)
    echo = Path(__file__).resolve().parents[2] / "deploy" / "agents" / "echo.yaml"
    (tmp_path / "echo.yaml").write_bytes(echo.read_bytes())
    async with deployed(broker_url, ANTIPHON_AGENTS_DIR=str(tmp_path)) as deployment, firefox() as browser:
        await serve_page(browser)
        call = await opened(browser, f"http://127.0.0.1:{deployment.port}")
        await _call(call, AGENT)
        await call.get("client.mute(true)")
        await call.until("client.sendText('What do you have?')")
        await call.until("client.state.transcript.some(({ role, isFinal }) => role === 'agent')")
        said = await call.get("client.state.transcript.find(({ role }) => role === 'agent').text")
        assert TEXT.startswith(said)
        await _until_heard(call, record_property, "the agent")
        await call.get("client.disconnect()")
        await _call(call, "echo")
        await call.get("client.mute(false)")
        await _until_heard(call, record_property, "the caller's own voice")
        await call.get("client.disconnect()")
        assert await call.get("ended") == [None]


async def _call(call: ClientCall, agent: str) -> None:
    await call.page.evaluate("(agentId) => call({ agentId }, false)", agent)


async def _until_heard(call: ClientCall, record: Record, what: str) -> None:
    await call.until(f"inbound().then(({{ totalAudioEnergy }}) => totalAudioEnergy > {_AUDIBLE})")
    record(f"{what} is heard", f"energy {await call.get('inbound().then((each) => each.totalAudioEnergy)'):.3f}")
