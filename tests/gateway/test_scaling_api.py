"""What an autoscaler gets of a gateway, on a real broker."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway import worker_registry
from gateway.scaling_api import scaling_route
from gateway.worker_registry import WorkerRegistry
from shared.io.broker import Redis, connect
from tests.fakes.media_worker import announce_worker
from tests.fakes.own_broker import OwnBroker
from tests.fakes.ports import free_port
from tests.gateway.test___main__ import gateway


async def asked(registry: WorkerRegistry, query: str = "") -> tuple[int, Any]:
    app = Starlette(routes=[scaling_route(registry, warm_sessions=3)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://probes") as http:
        answer = await http.get(f"/scaling{query}")
        return answer.status_code, answer.json()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry is settled as soon as it has reports."""
    monkeypatch.setattr(worker_registry, "_SETTLED_AFTER_S", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_it_counts_pools_and_zones_apart(broker: Redis, broker_url: str) -> None:
    registry = WorkerRegistry(broker)
    await announce_worker(broker_url, "media", "m1", 6, zone="a")
    await announce_worker(broker_url, "media", "m2", 6, zone="b")
    await announce_worker(broker_url, "pipeline", "p1", 12, pool="default", zone="a")
    await announce_worker(broker_url, "pipeline", "p2", 3, pool="default,gpu", zone="b")
    await registry.refresh()
    status, everything = await asked(registry)
    assert status == 200
    assert everything == {
        "media": {"sessions": 0, "capacity": 12, "workers": 2, "wanted_workers": 0.5},
        "pipeline": {"sessions": 0, "capacity": 15, "workers": 2, "wanted_workers": 0.4},
    }
    _, gpu = await asked(registry, "?pool=gpu")
    assert (gpu["media"]["workers"], gpu["pipeline"]["workers"], gpu["pipeline"]["wanted_workers"]) == (2, 1, 1.0)
    _, in_a = await asked(registry, "?zone=a")
    assert (in_a["media"]["workers"], in_a["pipeline"]["capacity"]) == (1, 12)


@pytest.mark.usefixtures("at_once")
async def test_a_broker_that_came_back_empty_is_no_reason_to_shrink(broker: Redis) -> None:
    registry = WorkerRegistry(broker)
    await registry.refresh()
    status, error = await asked(registry)
    assert (status, error["code"]) == (503, "no_workers")


async def test_a_broker_that_came_back_with_one_report_of_many_is_no_reason_to_shrink(
    broker: Redis, broker_url: str
) -> None:
    registry = WorkerRegistry(broker)
    await announce_worker(broker_url, "media", "m1", 6)
    await registry.refresh()
    status, error = await asked(registry)
    assert (status, error["code"]) == (503, "registry_stale")


async def test_before_the_first_report_nothing_is_known() -> None:
    client = connect("redis://127.0.0.1:1/0")
    status, error = await asked(WorkerRegistry(client))
    assert (status, error["code"]) == (503, "registry_stale")
    await client.aclose()


async def test_while_the_broker_is_away_the_probe_port_answers_503_and_never_a_number(tmp_path: Path) -> None:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    probe_port = free_port()
    own = OwnBroker(tmp_path)
    with (
        own.running(),
        gateway(redis_url=own.url, agents_dir=tmp_path, gateway_port=0, probe_port=probe_port) as process,
    ):
        assert process.stderr is not None
        assert any("gateway_ready" in line for line in process.stderr)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{probe_port}") as http:
            async with asyncio.timeout(15):
                while (answer := await http.get("/scaling")).status_code != 200:
                    await announce_worker(own.url, "media", "m1", 6)
            assert answer.json()["media"]["capacity"] == 6
            own.hang()
            async with asyncio.timeout(10):
                while (answer := await http.get("/scaling")).status_code == 200:  # noqa: ASYNC110 (another process has no event)
                    await asyncio.sleep(0.1)
            assert answer.json()["code"] == "registry_stale"
            own.go_on()
