"""The three services, their broker and a TURN server on one host, for the calls of a module from other hosts."""

import asyncio
import contextlib
import json
import shutil
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from aiortc import RTCIceServer

from callers.caller import Caller
from shared.audio import Pcm
from shared.settings import BUNDLED_AGENTS
from tests.browser.pipeline_tap import PipelineTap, tapped
from tests.browser.turn_server import TurnServer, turn_server
from tests.fakes.own_broker import OwnBroker
from tests.fakes.ports import free_port
from tests.integration.deployment import Deployment, deployed, started
from tests.integration.speech import spoken
from tests.integration.talk import AGENT, Talk, write_agent
from tests.load.tone_words import text_of
from tests.network.hosts import SERVER, SERVER_6, TURN, server_host
from tests.network.namespace import Namespace, why_not

TEXT = text_of(64)
"""14 s of sound."""
_READY_TIMEOUT_S = 20.0


class Stage(NamedTuple):
    server: Namespace
    deployment: Deployment
    turn: TurnServer
    agents: Path
    question: Pcm

    @property
    def signaling_url(self) -> str:
        return f"ws://{SERVER}:{self.deployment.port}/signaling"

    @contextlib.asynccontextmanager
    async def gateway_on(self, host: str) -> AsyncIterator[str]:
        """Another gateway, on this IPv6 address; its signaling URL."""
        with contextlib.ExitStack() as stack:
            with self.server:
                port = free_port()
                gateway = stack.enter_context(
                    started(
                        "gateway",
                        ANTIPHON_REDIS_URL=self.deployment.broker_url,
                        ANTIPHON_AGENTS_DIR=str(self.agents),
                        ANTIPHON_GATEWAY_HOST=host,
                        ANTIPHON_GATEWAY_PORT=str(port),
                        ANTIPHON_GATEWAY_ACCESS="open",
                    )
                )
            async with asyncio.timeout(_READY_TIMEOUT_S):
                while not gateway.worker_id:  # noqa: ASYNC110 (another process has no event)
                    await asyncio.sleep(0.05)
            yield f"ws://[{host}]:{port}/signaling"

    def ice_servers(self) -> list[RTCIceServer]:
        """As the gateway names them to a client. Not in another thread, which would be at another host."""
        with urllib.request.urlopen(f"http://{SERVER}:{self.deployment.port}/api/ice-servers", timeout=5) as reply:
            return [RTCIceServer(**server) for server in json.load(reply)["iceServers"]]

    @contextlib.asynccontextmanager
    async def talking(self, *, resumes: bool = False) -> AsyncIterator[Talk]:
        """A caller whose questions are answered with `TEXT`. One that `resumes` comes back by itself."""
        async with Caller(self.signaling_url, AGENT, gateways=[self.signaling_url] if resumes else ()) as caller:
            await caller.wait_for_status("listening")
            yield Talk(caller, self.question, TEXT)
            await caller.hang_up()

    def tapped(self, talk: Talk) -> AbstractAsyncContextManager[PipelineTap]:
        """What the pipeline hears of a caller. To be entered on the server."""
        return tapped(self.deployment.broker_url, talk.session)


@pytest.fixture(scope="package", autouse=True)
def _namespaces() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    agents: Path = tmp_path_factory.mktemp("agents")
    shutil.copytree(BUNDLED_AGENTS, agents, dirs_exist_ok=True)
    write_agent(agents, TEXT)
    (question,) = await spoken("What do you have?")
    with (
        contextlib.closing(server_host()) as host,
        host as server,
        OwnBroker(tmp_path_factory.mktemp("broker")).running() as broker,
        turn_server(TURN, SERVER) as turn,
    ):
        async with deployed(
            broker.url,
            ANTIPHON_AGENTS_DIR=str(agents),
            ANTIPHON_PUBLIC_IPS=f"{SERVER},{SERVER_6}",
            ANTIPHON_GATEWAY_HOST="0.0.0.0",
            ANTIPHON_GATEWAY_ACCESS="open",
            ANTIPHON_GATEWAY_TURN_URLS=turn.url("tcp"),
            ANTIPHON_GATEWAY_TURN_SECRET_FILE=str(turn.secret_file),
        ) as deployment:
            yield Stage(server, deployment, turn, agents, question)
