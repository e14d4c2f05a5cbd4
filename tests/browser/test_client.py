"""The client that a gateway serves, in a real Chromium: calls beside one another and after one another."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, CDPSession

from callers.voice import RATE
from tests.browser.chromium import chromium, write_wave
from tests.browser.client_call import WHOLE, calling, opened, serve_page
from tests.integration.deployment import Deployment, deployed
from tests.integration.talk import AGENT, write_agent

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

Record = Callable[[str, object], None]
_ANSWERED_MS = 500
_FIRST_ROUNDS, _ROUNDS = 5, 50
_HEAP_BYTES = 300_000
"""What the browser itself may keep of so many calls."""
_CALL_AND_HANG_UP = """async (rounds) => {
  for (let round = 0; round < rounds; round += 1) {
    try {
      await client.connect();
      client.disconnect();
    } catch ({ code, retryAfterMs }) { // a busy machine refuses callers
      if (code !== 'no_capacity') throw new Error(code);
      await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
      round -= 1;
    }
  }
}"""
_OPEN = """{
  tracks: opened.tracks.filter(({ readyState }) => readyState !== 'ended').length,
  connections: opened.RTCPeerConnection.filter(({ connectionState }) => connectionState !== 'closed').length,
  sockets: opened.WebSocket.filter(({ readyState }) => readyState !== WebSocket.CLOSED).length,
  contexts: opened.AudioContext.filter(({ state }) => state !== 'closed').length,
  timers: opened.timers.size,
}"""
_FORGET = (
    "Object.values(opened).forEach((each) => each.length && (each.length = 0)) || (signals.length = events.length = 0)"
)


class Stage(NamedTuple):
    deployment: Deployment
    browser: BrowserContext
    origin: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    agents: Path = tmp_path_factory.mktemp("agents")
    write_agent(agents)
    noise = np.random.default_rng(1).normal(0, 3, 10 * RATE).astype(np.int16)
    room = write_wave(tmp_path_factory.mktemp("microphone") / "room.wav", noise)
    async with (
        deployed(broker_url, ANTIPHON_AGENTS_DIR=str(agents)) as deployment,
        chromium(room) as browser,
    ):
        await serve_page(browser)
        yield Stage(deployment, browser, f"http://127.0.0.1:{deployment.port}")


async def test_two_tabs_call_at_the_same_time(stage: Stage, record_property: Record) -> None:
    async with calling(stage.browser, stage.origin, AGENT) as one:
        async with calling(stage.browser, stage.origin, AGENT) as other:
            assert await one.get("client.sessionId") != await other.get("client.sessionId")
            asked_ms = await asyncio.gather(one.ask(), other.ask())
            for call, from_ms in zip((one, other), asked_ms, strict=True):
                heard = await call.reply(from_ms)
                record_property("each hears", heard)
                assert heard.words == WHOLE
        await one.ask(_ANSWERED_MS)
        assert await one.get("phases") == ["connecting", "connected"]


async def test_a_call_that_another_tab_takes_ends_with_that_reason(stage: Stage) -> None:
    """A tab that was duplicated while its page was reloaded, say."""
    async with calling(stage.browser, stage.origin, AGENT) as call:
        session, token = await call.get("client.sessionId"), await call.get("signals.at(0).resumeToken")
        other = await opened(stage.browser, stage.origin)
        await other.get(f"sessionStorage.setItem(`antiphon:${{location.origin}}:{AGENT}`, `${{Date.now()}} {token}`)")
        await other.connect(agentId=AGENT, survivesReload=True)
        assert await other.get("client.sessionId") == session
        await call.until("client.state.phase === 'ended'")
        assert await call.get("[client.state.reason, ended]") == ["replaced", [None]]
        await other.ask(_ANSWERED_MS)
        await other.get("client.disconnect()")
        await other.page.close()


async def test_a_key_that_is_too_old_is_not_shown(stage: Stage) -> None:
    """Somebody left the page during a call, and comes back after a minute."""
    page = await opened(stage.browser, stage.origin)
    await page.get(f"sessionStorage.setItem(`antiphon:${{location.origin}}:{AGENT}`, `${{Date.now() - 60_000}} old`)")
    await page.connect(agentId=AGENT, survivesReload=True)
    assert await page.get("client.state.phase") == "connected"
    await page.get("client.disconnect()")
    await page.page.close()


async def test_a_client_calls_again_with_the_loudspeaker_that_was_chosen_meanwhile(stage: Stage) -> None:
    async with calling(stage.browser, stage.origin, AGENT) as call:
        assert await call.get("client.connect().catch(({ code }) => code)") == "busy"
        await call.get("client.disconnect()")
        assert await call.get("[client.state.phase, client.state.reason]") == ["ended", "hangup"]
        first = await call.get("client.sessionId")
        chosen = await call.get("client.listSpeakers().then((speakers) => speakers.at(-1).deviceId)")
        await call.get(f"client.chooseSpeaker('{chosen}')")
        await call.get("client.connect()")
        await call.until(f"document.getElementById('agent').sinkId === '{chosen}'")
        assert await call.get("client.sessionId") != first
        assert await call.get("client.chooseSpeaker('none').catch(({ code }) => code)") == "speaker_missing"
        assert await call.get("client.state.transcript.length") == 0
        await call.ask(_ANSWERED_MS)


async def test_a_full_server_says_when_to_call_again(stage: Stage) -> None:
    drain = f"{stage.origin}/api/workers/{stage.deployment.media.worker_id}/drain"
    async with httpx.AsyncClient() as operator:
        assert (await operator.post(drain)).status_code == 202
        page = await opened(stage.browser, stage.origin)
        refused = (
            "call({ agentId: 'counting' }, false).then(() => client.disconnect(), ({ code, cure }) => [code, cure])"
        )
        async with asyncio.timeout(10):
            while (said := await page.get(refused)) is None:  # noqa: ASYNC110 (gateways learn of a drain in a moment)
                await asyncio.sleep(0.1)
        assert said == ["no_capacity", "Please try again in 5 s."]
        assert await page.get("[client.state.phase, client.state.reason, ended]") == [
            "failed",
            "no_capacity",
            ["no_capacity"],
        ]
        assert (await operator.delete(drain)).status_code == 202
        await page.until("client.connect().then(() => true, () => false)")
        await page.get("client.disconnect()")
        await page.page.close()


async def test_fifty_calls_leave_nothing_behind(stage: Stage, record_property: Record) -> None:
    page = await opened(stage.browser, stage.origin)
    developer = await stage.browser.new_cdp_session(page.page)
    await developer.send("Performance.enable")
    await page.get("call({ agentId: 'counting' }, false).then(() => client.disconnect())")
    before: dict[str, Any] = {}
    for rounds in (_FIRST_ROUNDS, _ROUNDS):
        await page.page.evaluate(_CALL_AND_HANG_UP, rounds)
        await page.until(f"Object.values({_OPEN}).every((count) => count === 0)")
        await page.get(_FORGET)
        after = await _memory(developer)
        before = before or after
    grown = {name: after[name] - before[name] for name in after}
    record_property(f"{_ROUNDS} calls left", grown)
    assert grown["JSEventListeners"] <= 0
    assert grown["Nodes"] <= 0
    assert grown["JSHeapUsedSize"] < _HEAP_BYTES


async def _memory(developer: CDPSession) -> dict[str, float]:
    """After a collection of garbage."""
    for _ in range(2):
        await developer.send("HeapProfiler.collectGarbage")
    metrics = (await developer.send("Performance.getMetrics"))["metrics"]
    wanted = ("JSEventListeners", "Nodes", "JSHeapUsedSize")
    return {metric["name"]: metric["value"] for metric in metrics if metric["name"] in wanted}
