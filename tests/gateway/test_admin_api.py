"""The admin API of a gateway with a real broker and a media worker without media."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.core.api_keys import new_api_key
from gateway.settings import GatewaySettings
from shared import keys
from shared.events import CloseSession, SessionClosed
from shared.io.broker import Redis
from shared.worker_report import WorkerReport
from tests.fakes.media_worker import FakeMediaWorker, present_worker
from tests.fakes.running_gateway import RunningGateway, running_gateway

ADMIN_KEY, ADMIN_LINE = new_api_key("console", "admin")
CALLS_KEY, CALLS_LINE = new_api_key("website", "calls")
POOL = WorkerReport(worker_id="p1", kind="pipeline", capacity=10, pool="default,gpu", zone="north")


@pytest.fixture
def settings(broker: Redis, broker_url: str, tmp_path: Path) -> GatewaySettings:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    (tmp_path / "api-keys").write_text(f"{ADMIN_LINE}\n{CALLS_LINE}\n")
    return GatewaySettings(
        redis_url=broker_url,
        agents_dir=tmp_path,
        gateway_port=0,
        gateway_api_keys_file=tmp_path / "api-keys",
        drain_timeout_s=0.2,
    )


class Stage:
    def __init__(self, gateway: RunningGateway, media: FakeMediaWorker, http: httpx.AsyncClient, broker: Redis) -> None:
        self.gateway = gateway
        self.media = media
        self.http = http
        self.broker = broker

    async def connect(self, session: str) -> None:
        """As its media worker writes it when the caller's media is up."""
        await self.media.connect_caller(session)
        created_ms = int((await self.broker.hget(keys.session(session), "created_ms")) or 0)
        await self.broker.zadd(keys.sessions(self.media.worker_id), {keys.listed_session(session, created_ms): 0})


@asynccontextmanager
async def staged(settings: GatewaySettings, broker: Redis) -> AsyncIterator[Stage]:
    async with (
        FakeMediaWorker(settings.redis_url).running() as media,
        present_worker(settings.redis_url, POOL),
        running_gateway(settings) as gateway,
        httpx.AsyncClient(base_url=gateway.url + "api/") as http,
    ):
        async with asyncio.timeout(5):
            while (await http.get(gateway.url + "readyz")).is_error:  # noqa: ASYNC110 (another loop has no event)
                await asyncio.sleep(0.01)
        yield Stage(gateway, media, http, broker)


@pytest.fixture
async def stage(settings: GatewaySettings, broker: Redis) -> AsyncIterator[Stage]:
    async with staged(settings, broker) as stage:
        yield stage


def answer(response: httpx.Response) -> tuple[int, str]:
    assert response.json()["message"]
    return response.status_code, response.json()["code"]


def bearer(key: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_workers_are_listed(stage: Stage) -> None:
    response = await stage.http.get("workers")
    assert response.headers["cache-control"] == "no-store"
    gateway, media, pipeline = response.json()["workers"]
    assert (gateway["kind"], media["kind"], pipeline["kind"]) == ("gateway", "media", "pipeline")
    assert 0 <= pipeline.pop("reportAgeMs") < 4_000
    assert pipeline.pop("lagMs") >= 0
    assert isinstance(pipeline.pop("version"), str)
    assert pipeline == {
        "id": "p1",
        "kind": "pipeline",
        "state": "serving",
        "wish": "serving",
        "sessions": 0,
        "capacity": 10,
        "pools": ["default", "gpu"],
        "zone": "north",
    }


@pytest.mark.parametrize(
    ("body", "wish"), [(None, "draining"), ({}, "draining"), ({"move": False}, "draining"), ({"move": True}, "moving")]
)
async def test_a_drain_is_asked_for_and_undone(stage: Stage, body: object, wish: str) -> None:
    drained = await stage.http.post("workers/media-1/drain", json=body)
    assert (drained.status_code, drained.json()) == (202, {"id": "media-1", "wish": wish})
    assert await stage.broker.get(keys.wish("media", "media-1")) == wish.encode()
    undone = await stage.http.delete("workers/media-1/drain")
    assert (undone.status_code, undone.json()) == (202, {"id": "media-1", "wish": "serving"})
    assert (await stage.http.get("workers")).json()["workers"][1]["wish"] == "serving"


async def test_a_gateway_could_not_be_drained(stage: Stage) -> None:
    [gateway_id] = [
        each["id"] for each in (await stage.http.get("workers")).json()["workers"] if each["kind"] == "gateway"
    ]
    drain = f"workers/{gateway_id}/drain"
    async with stage.gateway.client() as idle, stage.gateway.client() as caller:
        await caller.offer()
        session, _ = await caller.answer()

        assert (await stage.http.post(drain)).status_code == 202
        assert (await idle.hear())["reason"] == "draining"
        assert await idle.closed() == (1001, "goaway")
        assert await readiness(stage) == (503, "draining")
        async with stage.gateway.client() as late:
            assert await late.closed() == (1001, "goaway")
        await eventually_listed(stage, gateway_id, "draining")
        event = await stage.media.publish(session, 1, "only new clients are sent away")
        assert await caller.hear() == event

        assert (await stage.http.post(drain, json={"move": True})).status_code == 202
        goaway = {"type": "goaway", "timeLeftMs": 200, "scope": "signaling", "reason": "draining"}
        assert await caller.hear() == goaway

        assert (await stage.http.delete(drain)).status_code == 202
        await eventually_listed(stage, gateway_id, "serving")
        assert (await readiness(stage))[0] == 200
        async with stage.gateway.client() as new:
            await new.offer()
            await new.answer()
        await caller.say(type="bye")
        assert await caller.closed() == (1000, "bye"), "nothing is cut at the end of the time"


async def readiness(stage: Stage) -> tuple[int, str | None]:
    response = await stage.http.get(stage.gateway.url + "readyz")
    return response.status_code, response.json().get("reason")


async def eventually_listed(stage: Stage, worker_id: str, state: str) -> None:
    async with asyncio.timeout(5):
        while True:
            workers = (await stage.http.get("workers")).json()["workers"]
            if (worker_id, state) in [(worker["id"], worker["state"]) for worker in workers]:
                return
            await asyncio.sleep(0.05)


async def test_what_is_wrong_with_a_drain_is_told(stage: Stage) -> None:
    assert answer(await stage.http.post("workers/nobody/drain")) == (404, "unknown_worker")
    assert answer(await stage.http.delete("workers/a:b/drain")) == (404, "unknown_worker")
    for body in (b"{", b'{"move": 1}', b'{"moves": true}', b"[]"):
        assert answer(await stage.http.post("workers/media-1/drain", content=body)) == (400, "bad_request")


async def test_a_session_is_listed_read_and_ended_and_that_is_a_normal_end_for_its_client(stage: Stage) -> None:
    async with stage.gateway.client() as client:
        await client.offer()
        session, _ = await client.answer()
        assert (await stage.http.get("sessions")).json() == {"sessions": [], "total": 0, "after": None}, "not connected"
        await stage.connect(session)
        listed = (await stage.http.get("sessions", params={"limit": 1, "mediaWorker": "media-1"})).json()
        shown = (await stage.http.get(f"sessions/{session}")).json()
        assert (listed["sessions"], listed["total"], listed["after"]) == ([shown], 1, None)
        assert shown.pop("gateway").startswith("gateway-")
        assert 0 <= shown.pop("ageS") < 10
        assert shown == {
            "id": session,
            "agent": "echo",
            "state": "",
            "maxDurationS": 3600,
            "apiKey": "",
            "mediaWorker": "media-1",
            "pipelineWorker": "",
            "epoch": 0,
            "generation": 1,
            "answerMs": None,
            "lossPercent": None,
        }
        await stage.broker.hset(keys.session(session), mapping={"answer_ms": "840", "loss_percent": "1.3"})
        measured = (await stage.http.get(f"sessions/{session}")).json()
        assert (measured["answerMs"], measured["lossPercent"]) == (840, 1.3)
        await stage.media.publish(session, 1, "Hello.")
        assert (await client.hear())["text"] == "Hello."
        (event,) = (await stage.http.get(f"sessions/{session}/events")).json()["events"]
        assert (event["text"], event["seq"]) == ("Hello.", 1)
        assert (await stage.http.delete(f"sessions/{session}")).status_code == 202
        assert (await stage.media.wait_for(CloseSession)).reason == "ended_by_operator"
        stage.media.tell_gateway(SessionClosed(session=session, reason="ended_by_operator"))
        assert await client.closed() == (1000, "ended_by_operator")


async def test_a_session_that_has_lost_its_media_worker_is_left_to_its_client(stage: Stage) -> None:
    await stage.broker.hset(keys.session("s1"), mapping={"agent": "echo", "media_worker": "gone"})
    assert (await stage.http.get("sessions/s1")).json()["state"] == "media_lost"
    assert answer(await stage.http.delete("sessions/s1")) == (409, "media_worker_lost")


async def test_a_transcript_is_read_while_the_session_runs_and_afterwards_as_long_as_it_is_kept(stage: Stage) -> None:
    assert answer(await stage.http.get("sessions/s1/transcript")) == (404, "unknown_session")
    await stage.broker.hset(keys.session("s1"), mapping={"agent": "echo", "media_worker": "media-1"})
    assert (await stage.http.get("sessions/s1/transcript")).json() == {"id": "s1", "transcript": []}
    said = {"role": "user", "text": "Hello?", "interrupted": False}
    await stage.broker.rpush(keys.conversation("s1"), json.dumps(said))
    await stage.broker.delete(keys.session("s1"))
    assert (await stage.http.get("sessions/s1/transcript")).json() == {"id": "s1", "transcript": [said]}


@pytest.mark.parametrize("path", ["", "/transcript", "/events"])
async def test_a_session_that_is_not_there(stage: Stage, path: str) -> None:
    for name in ("gone", "a%3Ab", "x" * 90):
        assert answer(await stage.http.get(f"sessions/{name}{path}")) == (404, "unknown_session")
    assert answer(await stage.http.delete("sessions/gone")) == (404, "unknown_session")


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "after=x", "mediaWorker=a:b", "page=2"])
async def test_a_bad_query_is_refused(stage: Stage, query: str) -> None:
    assert answer(await stage.http.get(f"sessions?{query}")) == (400, "bad_request")


ROUTES = [
    ("GET", "workers"),
    ("POST", "workers/media-1/drain"),
    ("DELETE", "workers/media-1/drain"),
    ("GET", "sessions"),
    ("GET", "sessions/s1"),
    ("DELETE", "sessions/s1"),
    ("GET", "sessions/s1/transcript"),
    ("GET", "sessions/s1/events"),
]


async def test_with_tokens_every_route_needs_a_key_for_administration(settings: GatewaySettings, broker: Redis) -> None:
    closed = settings.model_copy(update={"gateway_access": "token"})
    async with staged(closed, broker) as stage:
        for method, path in ROUTES:
            assert answer(await stage.http.request(method, path)) == (401, "api_key_required")
            for key, code in ((CALLS_KEY, (403, "scope_missing")), ("guess", (401, "api_key_invalid"))):
                assert answer(await stage.http.request(method, path, headers=bearer(key))) == code
        assert (await stage.http.get("workers", headers=bearer(ADMIN_KEY))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "192.0.2.1"},
        {"host": "voice.example"},
        {"origin": "https://page.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_an_open_gateway_is_administered_without_a_key_only_from_its_own_machine(
    settings: GatewaySettings, broker: Redis, headers: dict[str, str]
) -> None:
    everybody = settings.model_copy(update={"gateway_origins": ["*"]})
    async with staged(everybody, broker) as stage:
        for method, path in ROUTES:
            assert answer(await stage.http.request(method, path, headers=headers)) == (401, "api_key_required")
        assert (await stage.http.get("workers", headers={**headers, **bearer(ADMIN_KEY)})).status_code == 200
        assert (await stage.http.get("workers", headers={"sec-fetch-site": "same-origin"})).status_code == 200


async def test_an_open_gateway_that_others_can_reach_needs_a_key(settings: GatewaySettings, broker: Redis) -> None:
    reachable = settings.model_copy(update={"gateway_access": "open", "gateway_host": "0.0.0.0"})
    async with staged(reachable, broker) as stage:
        assert answer(await stage.http.get("workers")) == (401, "api_key_required")
