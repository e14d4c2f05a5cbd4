"""What an operator does over the API of real processes, while callers talk."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.audio import Pcm
from tests.integration.deployment import Deployment, deployed
from tests.integration.speech import spoken
from tests.integration.talk import talking, write_agent

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

_TIMEOUT_S = 20.0
_HEARD_S = 1.5


class Console:
    """The operator's view, without a key: on loopback."""

    def __init__(self, deployment: Deployment, http: httpx.AsyncClient, question: Pcm) -> None:
        self.deployment = deployment
        self.http = http
        self.question = question

    @property
    def ready_url(self) -> str:
        return f"http://127.0.0.1:{self.deployment.port}/readyz"

    async def get(self, path: str) -> Any:
        response = await self.http.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    async def worker(self, worker_id: str) -> dict[str, Any]:
        return next(dict(worker) for worker in (await self.get("workers"))["workers"] if worker["id"] == worker_id)

    async def session(self, session: str) -> dict[str, Any]:
        return dict(await self.get(f"sessions/{session}"))

    async def running(self, session: str) -> dict[str, Any]:
        """The session, once it and its pipeline worker are recorded: a moment after the client knows."""

        async def recorded() -> bool:
            response = await self.http.get(f"sessions/{session}")
            return response.status_code == 200 and bool(response.json()["state"] == "running")

        await self.until(recorded)
        return await self.session(session)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            while not await holds():  # noqa: ASYNC110 (an operator polls)
                await asyncio.sleep(0.1)

    async def until_state(self, worker_id: str, state: str) -> None:
        async def shown() -> bool:
            return bool((await self.worker(worker_id))["state"] == state)

        await self.until(shown)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Console]:
    agents: Path = tmp_path_factory.mktemp("agents")
    write_agent(agents)
    async with deployed(broker_url, media_workers=2, ANTIPHON_AGENTS_DIR=str(agents)) as deployment:
        (question,) = await spoken("What do you have today?")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{deployment.port}/api/") as http:
            yield Console(deployment, http, question)
        assert await deployment.leftovers() == []


async def test_a_media_worker_is_drained_under_a_call_which_moves_and_the_drain_is_undone(console: Console) -> None:
    async with talking(console.deployment.signaling_urls, console.question, 1) as (talk,):
        before = await console.running(talk.session)
        drained = f"workers/{before['mediaWorker']}/drain"
        await talk.ask()
        await talk.hear(_HEARD_S)

        assert (await console.http.post(drained)).status_code == 202
        await console.until_state(before["mediaWorker"], "draining")
        assert (await console.session(talk.session))["mediaWorker"] == before["mediaWorker"], "it may stay"
        async with talking(console.deployment.signaling_urls, console.question, 1) as (other,):
            assert (await console.running(other.session))["mediaWorker"] != before["mediaWorker"]

        assert (await console.http.post(drained, json={"move": True})).status_code == 202

        async def moved() -> bool:
            return bool((await console.session(talk.session))["generation"] == 2)

        await console.until(moved)
        after = await console.running(talk.session)
        assert after["mediaWorker"] != before["mediaWorker"]
        assert after["pipelineWorker"] == before["pipelineWorker"]
        words = await talk.reply(0)
        assert (words.words.lost, words.words.doubled) == (0, 0)

        assert (await console.http.delete(drained)).status_code == 202
        await console.until_state(before["mediaWorker"], "serving")
        assert (await console.worker(before["mediaWorker"]))["sessions"] == 0


async def test_a_pipeline_worker_is_drained_under_a_call_which_moves_between_turns(console: Console) -> None:
    console.deployment.start("pipeline")
    await console.deployment.ready()
    async with talking(console.deployment.signaling_urls, console.question, 1) as (talk,):
        before = await console.running(talk.session)
        drained = f"workers/{before['pipelineWorker']}/drain"
        assert (await console.http.post(drained, json={"move": True})).status_code == 202

        async def moved() -> bool:
            return bool((await console.session(talk.session))["epoch"] == 2)

        await console.until(moved)
        assert (await console.session(talk.session))["pipelineWorker"] != before["pipelineWorker"]
        await talk.ask()
        await talk.hear(_HEARD_S)
        assert (await console.http.delete(drained)).status_code == 202
        await console.until_state(before["pipelineWorker"], "serving")


async def test_a_gateway_is_drained_under_a_call_whose_websocket_goes_to_another_one(console: Console) -> None:
    """The drained gateway is the one that the operator asks."""
    console.deployment.start("gateway")
    await console.deployment.ready()
    first = console.deployment.gateway.worker_id
    async with talking(console.deployment.signaling_urls, console.question, 1) as (talk,):
        assert (await console.running(talk.session))["gateway"] == first
        await talk.ask()
        await talk.hear(_HEARD_S)

        assert (await console.http.post(f"workers/{first}/drain", json={"move": True})).status_code == 202

        async def attached_elsewhere() -> bool:
            return (await console.session(talk.session))["gateway"] not in ("", first)

        await console.until(attached_elsewhere)
        assert (await console.http.get(console.ready_url)).status_code == 503
        words = await talk.reply(0)
        assert (words.words.lost, words.words.doubled) == (0, 0)

        assert (await console.http.delete(f"workers/{first}/drain")).status_code == 202
        await console.until_state(first, "serving")
        assert (await console.http.get(console.ready_url)).status_code == 200


async def test_a_transcript_grows_while_the_call_runs_which_the_operator_then_ends(console: Console) -> None:
    async with talking(console.deployment.signaling_urls, console.question, 1) as (talk,):
        await console.running(talk.session)
        listed = await console.get("sessions")
        assert [session["id"] for session in listed["sessions"]] == [talk.session]
        transcript = f"sessions/{talk.session}/transcript"
        assert (await console.get(transcript))["transcript"] == []
        await talk.ask()
        await talk.hear(_HEARD_S)

        async def user_is_read() -> bool:
            return "user" in [entry["role"] for entry in (await console.get(transcript))["transcript"]]

        await console.until(user_is_read)
        await talk.reply(0)

        async def agent_is_read() -> bool:
            return "agent" in [entry["role"] for entry in (await console.get(transcript))["transcript"]]

        await console.until(agent_is_read)
        assert (await console.http.delete(f"sessions/{talk.session}")).status_code == 202

        def ended() -> list[dict[str, Any]]:
            return [event for event in talk.caller.socket_events if event.get("status") == "ended"]

        await talk.caller.wait_for(lambda: bool(ended()))
        (end,) = ended()
        assert end["reason"] == "ended_by_operator"

        async def gone() -> bool:
            shown = await console.http.get(f"sessions/{talk.session}")
            return shown.status_code == 404 and (await console.get("sessions"))["total"] == 0

        await console.until(gone)
