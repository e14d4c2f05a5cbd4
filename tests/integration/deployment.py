"""The three services as real processes on one broker, for tests."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil

from shared.io.broker import connect
from shared.io.heartbeat import live_workers
from shared.keys import WorkerKind
from tests.fakes.ports import free_port

_ROOT = Path(__file__).resolve().parents[2]
_READY_TIMEOUT_S = 60.0


class Service:
    """One process; its log is kept for the test that fails."""

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self.log: list[str] = []
        self.probe_port = int(environment.get("ANTIPHON_PROBE_PORT", "0"))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=_ROOT, env={**clean, **environment}, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self) -> int:
        """SIGTERM, then its exit code. Raises if it does not end in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.close_log()
        return code

    def close_log(self) -> None:
        """The process has ended."""
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()

    def metric(self, name: str) -> float:
        """A value of its /metrics, summed over labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.probe_port}/metrics", timeout=5) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def open_files(self, broker_port: int) -> int:
        """File descriptors, without the broker's connections: the pool keeps as many as it once needed."""
        process = psutil.Process(self.process.pid)
        to_broker = [c for c in process.net_connections("tcp") if c.raddr and c.raddr.port == broker_port]
        return process.num_fds() - len(to_broker)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip())


class Deployment:
    """A gateway, a media worker and a pipeline worker."""

    def __init__(self, broker_url: str, **settings: str) -> None:
        self.broker_url = broker_url
        self.port = free_port()
        common = {
            "ANTIPHON_REDIS_URL": broker_url,
            "ANTIPHON_PUBLIC_IPS": "127.0.0.1",
            "ANTIPHON_GATEWAY_PORT": str(self.port),
            **settings,
        }
        self.gateway = Service("gateway", {**common, "ANTIPHON_PROBE_PORT": str(free_port())})
        self.media = Service("media_worker", {**common, "ANTIPHON_PROBE_PORT": str(free_port())})
        self.pipeline = Service("pipeline_worker", {**common, "ANTIPHON_PROBE_PORT": str(free_port())})

    @property
    def broker_port(self) -> int:
        return urlsplit(self.broker_url).port or 0

    @property
    def services(self) -> tuple[Service, ...]:
        return self.gateway, self.media, self.pipeline

    @property
    def signaling_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/signaling"

    async def ready(self) -> Self:
        client = connect(self.broker_url)
        kinds: tuple[WorkerKind, ...] = ("gateway", "media", "pipeline")
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                while not all([await live_workers(client, kind) for kind in kinds]):
                    self._raise_if_dead()
                    await asyncio.sleep(0.1)
                while not await asyncio.to_thread(self._gateway_is_ready):
                    self._raise_if_dead()
                    await asyncio.sleep(0.1)
        finally:
            await client.aclose()
        return self

    def stop(self) -> list[int]:
        """Ends all; the exit codes of gateway, media worker and pipeline worker."""
        return [service.stop() for service in self.services]

    def logs(self) -> str:
        return "\n".join(line for service in self.services for line in service.log)

    def _raise_if_dead(self) -> None:
        for service in self.services:
            if service.process.poll() is not None:
                raise RuntimeError(f"a service ended: {self.logs()}")

    def _gateway_is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


@contextlib.asynccontextmanager
async def deployed(broker_url: str, **settings: str) -> AsyncIterator[Deployment]:
    """A deployment that is ready, stopped on leaving."""
    await _forget_earlier_workers(broker_url)
    deployment = Deployment(broker_url, **settings)
    try:
        yield await deployment.ready()
    finally:
        codes = deployment.stop()
        print(deployment.logs())
    assert codes == [0, 0, 0], f"exit codes {codes}"


async def _forget_earlier_workers(broker_url: str) -> None:
    """A fake worker's lease lasts for seconds: a caller placed on it would wait for an answer."""
    client = connect(broker_url)
    await client.flushdb()
    await client.aclose()


@contextlib.contextmanager
def started(module: str, **environment: str) -> Iterator[Service]:
    """One service that may fail on purpose."""
    service = Service(module, environment)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait()
        service.close_log()
