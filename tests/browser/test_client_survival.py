"""What the browser's client survives, and what its person hears of it: real processes, a real Chromium.

Figures are printed in the summary. The bounds are wide, because the machine may be busy.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext

from callers.impairment import Impairment
from callers.voice import RATE
from shared.io.broker import connect
from tests.browser.chromium import chromium, write_wave
from tests.browser.client_call import WHOLE, ClientCall, calling, opened, serve_page
from tests.browser.gateway_proxy import GatewayProxy
from tests.integration.deployment import Deployment, Service, deployed
from tests.integration.kept_sessions import holder, session_keys
from tests.integration.talk import AGENT, TEXT, write_agent
from tests.load.lossy_relay import LossyRelay
from tests.load.tone_words import text_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

Record = Callable[[str, object], None]
_LONG_TEXT = text_of(40)
"""9 s of sound."""
_NOT_NOTICED_S = 0.3
_ANSWERED_MS = 500
_WORDS_OFF = 4
"""Words that may be lost, doubled or damaged where a process dies in the middle of them."""
_BLOCKED_S = 5.0
_RELOAD_S = 10.0
_ONLY_CONNECTED = ["connecting", "connected"]


class Stage(NamedTuple):
    deployment: Deployment
    proxy: GatewayProxy
    browser: BrowserContext
    api: httpx.AsyncClient

    def calling(
        self, agent: str = AGENT, text: str = TEXT, **config: object
    ) -> AbstractAsyncContextManager[ClientCall]:
        return calling(self.browser, self.proxy.origin, agent, text, **config)

    async def holder(self, call: ClientCall, field: str) -> Service:
        return await self.deployment.holder(await call.get("client.sessionId"), field)

    async def wish(self, worker: Service, drained: bool) -> None:
        path = f"workers/{worker.worker_id}/drain"
        response = await (self.api.post(path, json={"move": True}) if drained else self.api.delete(path))
        assert response.status_code == 202


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Two processes of each kind at first; what a test kills stays away. The microphone hears a quiet room."""
    agents: Path = tmp_path_factory.mktemp("agents")
    write_agent(agents)
    write_agent(agents, _LONG_TEXT, "long")
    noise = np.random.default_rng(1).normal(0, 3, 10 * RATE).astype(np.int16)
    room = write_wave(tmp_path_factory.mktemp("microphone") / "room.wav", noise)
    async with (
        deployed(
            broker_url, gateways=2, media_workers=2, pipeline_workers=2, ANTIPHON_AGENTS_DIR=str(agents)
        ) as deployment,
        GatewayProxy([deployment.port_of(gateway) for gateway in deployment.of_kind["gateway"]]).running() as proxy,
        chromium(room) as browser,
        httpx.AsyncClient(base_url=f"{proxy.origin}/api/") as api,
    ):
        await serve_page(browser)
        yield Stage(deployment, proxy, browser, api)


async def test_the_websocket_is_cut_and_the_gateway_drained_and_killed(stage: Stage, record_property: Record) -> None:
    """The person notices nothing."""
    async with stage.calling() as call:
        for fault in ("WebSocket cut", "gateway drained", "gateway killed"):
            attached = await call.get("signals.filter(({ type }) => type === 'resumed').length")
            gateway = await stage.holder(call, "gateway")
            asked_ms = await call.ask()
            if fault == "WebSocket cut":
                stage.proxy.cut()
            elif fault == "gateway drained":
                gateway.terminate()
            else:
                gateway.kill()
            heard = await call.reply(asked_ms)
            record_property(fault, heard)
            assert heard.words == WHOLE
            assert heard.silence_s < _NOT_NOTICED_S
            await call.until(f"signals.filter(({{ type }}) => type === 'resumed').length > {attached}")
            if fault == "gateway drained":
                assert await asyncio.to_thread(gateway.stop) == 0
                stage.deployment.start("gateway", stage.deployment.port_of(gateway))
                await stage.deployment.ready()
        assert await call.get("phases") == _ONLY_CONNECTED
        assert await call.get("opened.RTCPeerConnection.length") == 1
        assert await call.get("opened.WebSocket.filter(({ readyState }) => readyState === 1).length") == 1
        await call.assert_events_came_once()


async def test_a_media_worker_is_drained_and_the_drain_undone_and_killed(stage: Stage, record_property: Record) -> None:
    async with stage.calling() as call:
        first = await stage.holder(call, "media_worker")
        asked_ms = await call.ask()
        await stage.wish(first, drained=True)
        heard = await call.reply(asked_ms)
        record_property("media worker drained while the agent speaks", heard)
        assert heard.words == WHOLE
        second = await stage.holder(call, "media_worker")
        assert second is not first
        assert await call.get("phases") == _ONLY_CONNECTED

        asked_ms = await call.ask()
        await stage.wish(second, drained=True)  # and there is no other to go to
        await call.until("signals.some(({ type, code }) => type === 'error' && code === 'no_capacity')")
        await stage.wish(second, drained=False)
        heard = await call.reply(asked_ms)
        record_property("drain undone while the client looks for another media worker", heard)
        assert heard.words == WHOLE
        await call.until("events.at(-1) && events.some(({ type }) => type === 'transcript')")
        assert await stage.holder(call, "media_worker") is second
        assert await call.get("phases") == _ONLY_CONNECTED

        await stage.wish(first, drained=False)
        asked_ms = await call.ask()
        second.kill()
        heard = await call.reply(asked_ms)
        record_property("media worker killed while the agent speaks", heard)
        assert max(heard.words) <= _WORDS_OFF
        assert await call.get("phases") == [*_ONLY_CONNECTED, "reconnecting", "connected"]
        assert (
            await call.get("opened.RTCPeerConnection.filter((each) => each.connectionState !== 'closed').length") == 1
        )
        await call.ask(_ANSWERED_MS)
        await call.assert_events_came_once()


async def test_a_pipeline_worker_is_killed(stage: Stage, record_property: Record) -> None:
    async with stage.calling() as call:
        asked_ms = await call.ask()
        (await stage.holder(call, "pipeline_worker")).kill()
        heard = await call.reply(asked_ms)
        record_property("pipeline worker killed while the agent speaks", heard)
        assert max(heard.words) <= _WORDS_OFF
        assert await call.get("phases") == _ONLY_CONNECTED
        assert "reconnecting" in await call.get("events.map(({ status }) => status)")
        await call.assert_goes_on()


async def test_udp_is_blocked_for_five_seconds(stage: Stage, record_property: Record) -> None:
    """The call comes back on the same connection."""
    relay = LossyRelay(Impairment())
    relay.start()
    try:
        call = await opened(stage.browser, stage.proxy.origin, _LONG_TEXT)
        await call.page.expose_function("rewriteAnswer", relay.rewrite)
        await call.connect(agentId="long")
        await call.ask()
        relay.is_blocked = True
        await asyncio.sleep(_BLOCKED_S)
        relay.is_blocked = False
        unblocked_ms = await call.now_ms()
        await call.until(f"loudMs({unblocked_ms}) > 0")
        record_property("heard again after", f"{await call.now_ms() - unblocked_ms:.0f} ms")
        await call.until("client.state.phase === 'connected'")
        record_property("phases", await call.get("phases"))
        assert await call.get("opened.RTCPeerConnection.length") == 1
        await call.until(f"isSaid({unblocked_ms})")
        await call.ask(_ANSWERED_MS)
        await call.get("client.disconnect()")
        await call.page.close()
    finally:
        relay.close()


async def test_the_browser_is_offline_for_a_while(stage: Stage, record_property: Record) -> None:
    """It is attached again as soon as it is online, whatever the delay of the next attempt."""
    async with stage.calling() as call:
        developer = await stage.browser.new_cdp_session(call.page)
        await developer.send("Network.enable")

        async def be_online(online: bool) -> None:
            conditions = {"offline": not online, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            await developer.send("Network.emulateNetworkConditions", conditions)

        asked_ms = await call.ask()
        await be_online(False)
        stage.proxy.cut()
        await call.until("opened.WebSocket.length >= 4")  # the next attempt is due in two seconds
        online_at = await call.get("performance.now()")
        await be_online(True)
        await call.until("signals.some(({ type }) => type === 'resumed')")
        attached_at = await call.get("signals.find(({ type }) => type === 'resumed').at")
        record_property("attached after", f"{attached_at - online_at:.0f} ms online")
        assert attached_at - online_at < 1_000
        heard = await call.reply(asked_ms)
        record_property("meanwhile", heard)
        assert heard.words == WHOLE
        assert await call.get("phases") == _ONLY_CONNECTED
        await call.assert_events_came_once()


async def test_the_page_is_reloaded_while_the_agent_talks(stage: Stage, record_property: Record) -> None:
    async with stage.calling(survivesReload=True) as call:
        session = await call.get("client.sessionId")
        await call.ask()
        await call.reload()
        await call.connect(agentId=AGENT, survivesReload=True)
        await call.until("loudMs(0) > 0")
        record_property("heard again after", f"{await call.get('performance.now()'):.0f} ms of the new page")
        assert await call.get("client.sessionId") == session
        await call.until("client.state.transcript.some(({ role }) => role === 'user')")
        await call.until("isSaid(0)")
        await call.ask(_ANSWERED_MS)
        await call.assert_events_came_once()


async def test_a_page_that_is_closed_for_good_frees_everything(stage: Stage, record_property: Record) -> None:
    async with contextlib.aclosing(connect(stage.deployment.broker_url)) as client, asyncio.timeout(2 * _RELOAD_S):
        clock = asyncio.get_running_loop().time
        before = await session_keys(client)
        call = await opened(stage.browser, stage.proxy.origin)
        await call.connect(agentId=AGENT, survivesReload=True)
        session = await call.get("client.sessionId")
        await call.page.close()
        closed_s = clock()
        while await holder(client, session, "media_worker"):  # noqa: ASYNC110 (other processes have no event)
            await asyncio.sleep(0.1)
        record_property("freed after", f"{clock() - closed_s:.1f} s")
        assert [key for key in await session_keys(client) if session in key and key not in before] == []
