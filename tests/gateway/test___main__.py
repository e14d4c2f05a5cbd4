import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest

from shared import keys
from shared.io.broker import Redis
from tests.fakes.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def agents_dir(tmp_path: Path) -> Path:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    return tmp_path


@contextmanager
def gateway(**settings: object) -> Iterator["subprocess.Popen[str]"]:
    own = {f"ANTIPHON_{name.upper()}": str(value) for name, value in settings.items()}
    others = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    with subprocess.Popen(
        [sys.executable, "-m", "gateway"], cwd=ROOT, env={**others, **own}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def failure(**settings: object) -> tuple[int, str]:
    with gateway(**settings) as process:
        _, stderr = process.communicate(timeout=30)
        return process.returncode, stderr


def test_the_broker_is_away_at_start(agents_dir: Path) -> None:
    exit_code, stderr = failure(redis_url=AWAY, agents_dir=agents_dir, gateway_port=0)
    assert exit_code == 69
    assert "gateway: no Redis at redis://127.0.0.1:1/0" in stderr
    assert "ANTIPHON_REDIS_URL" in stderr
    assert "Traceback" not in stderr


def test_the_port_is_in_use(broker_url: str, agents_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        exit_code, stderr = failure(redis_url=broker_url, agents_dir=agents_dir, gateway_port=port)
    assert exit_code == 70
    assert f"gateway: cannot listen on 127.0.0.1:{port}" in stderr
    assert "ANTIPHON_GATEWAY_PORT" in stderr
    assert "Traceback" not in stderr


def test_a_broken_agent_file(broker_url: str, agents_dir: Path) -> None:
    (agents_dir / "broken.yaml").write_text("id: broken\nname: Broken\nvoice: loud\n")
    exit_code, stderr = failure(redis_url=broker_url, agents_dir=agents_dir, gateway_port=0)
    assert exit_code == 78
    assert "broken.yaml: voice: no such field" in stderr


def test_a_bad_setting() -> None:
    exit_code, stderr = failure(gateway_port="eighty")
    assert exit_code == 78
    assert "ANTIPHON_GATEWAY_PORT" in stderr


def test_the_probe_port_is_in_use(broker_url: str, agents_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        exit_code, stderr = failure(redis_url=broker_url, agents_dir=agents_dir, gateway_port=0, probe_port=port)
    assert exit_code == 78
    assert f"port {port}" in stderr
    assert "ANTIPHON_PROBE_PORT" in stderr
    assert "Traceback" not in stderr


async def test_it_serves_until_stop_is_set(broker: Redis, broker_url: str, agents_dir: Path) -> None:
    probe_port = free_port()
    with gateway(redis_url=broker_url, agents_dir=agents_dir, gateway_port=0, probe_port=probe_port) as process:
        assert process.stderr is not None
        ready = next(json.loads(line) for line in process.stderr if "gateway_ready" in line)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", ready["url"])
        async with httpx.AsyncClient(base_url=ready["url"]) as http:
            assert (await http.get("/readyz")).status_code == 200
            assert (await http.get("/")).status_code == 200
            assert (await http.get("/metrics")).status_code == 404
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{probe_port}") as http:
            assert "antiphon_gateway_connections 0.0" in (await http.get("/metrics")).text
            assert (await http.get("/readyz")).status_code == 200
        assert await broker.zcard(keys.workers("gateway")) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    # Only its inbox stays, and expires, so that late messages are not kept forever.
    left = cast(list[bytes], await broker.keys("antiphon:*"))
    assert all(key.endswith(b":in") for key in left)
    assert all([await broker.ttl(key) > 0 for key in left])
