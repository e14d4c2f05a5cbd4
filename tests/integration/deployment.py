"""The three services as real processes on one broker, for tests."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil

from shared.io.broker import BROKER_FAILURES, Redis, connect, connect_blocking
from shared.io.heartbeat import live_workers
from shared.keys import WorkerKind
from tests.fakes.ports import free_port
from tests.integration.kept_sessions import holder
from tests.integration.leftover_keys import keys_for_ever, leftovers_at_last

_ROOT = Path(__file__).resolve().parents[2]
_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_MODULES: dict[WorkerKind, str] = {"gateway": "gateway", "media": "media_worker", "pipeline": "pipeline_worker"}


class Service:
    """One process; its log is kept for the test that fails."""

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self.log: list[str] = []
        self.probe_port = int(environment.get("ANTIPHON_PROBE_PORT", "0"))
        self.was_killed = False
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=_ROOT, env={**clean, **environment}, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def worker_id(self) -> str:
        """Empty until the process has said that it is ready."""
        for line in self.log:
            if "_ready" in line and line.startswith("{"):
                ready = json.loads(line)
                return str(ready["worker_id"])
        return ""

    def kill(self) -> None:
        """SIGKILL."""
        self.was_killed = True
        self.process.kill()
        self.process.wait()

    def suspend(self) -> None:
        """SIGSTOP: it hangs, and its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def carry_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """SIGTERM, then its exit code; 0 for one that a test has killed. Raises if it does not end in time."""
        self.carry_on()
        self.terminate()
        try:
            code = self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.close_log()
        return 0 if self.was_killed else code

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
    """Some processes of each kind, on one broker."""

    def __init__(
        self,
        broker_url: str,
        *,
        gateways: int = 1,
        media_workers: int = 1,
        pipeline_workers: int = 1,
        broker_urls: Mapping[WorkerKind, str] | None = None,
        settings_of: Mapping[WorkerKind, Mapping[str, str]] | None = None,
        **settings: str,
    ) -> None:
        """`broker_urls` are those of the kinds that have a user of their own; `settings_of` are of one kind alone."""
        self.broker_url = broker_url
        self._broker_urls = broker_urls or {}
        self._settings_of = settings_of or {}
        self._settings = {"ANTIPHON_PUBLIC_IPS": "127.0.0.1", **settings}
        self._ports: dict[Service, int] = {}
        counts: dict[WorkerKind, int] = {"gateway": gateways, "media": media_workers, "pipeline": pipeline_workers}
        self.of_kind: dict[WorkerKind, list[Service]] = {kind: [] for kind in counts}
        """All that were ever started, in order."""
        for kind, count in counts.items():
            for _ in range(count):
                self.start(kind)

    def start(self, kind: WorkerKind, port: int | None = None, **own: str) -> Service:
        """Another process, with settings of its `own`. A gateway may get the `port` of one that has ended."""
        settings = {
            "ANTIPHON_REDIS_URL": self._broker_urls.get(kind, self.broker_url),
            "ANTIPHON_PROBE_PORT": str(free_port()),
            **self._settings,
            **self._settings_of.get(kind, {}),
            **own,
        }
        if kind == "gateway":
            port = port or free_port()
            settings["ANTIPHON_GATEWAY_PORT"] = str(port)
        service = Service(_MODULES[kind], settings)
        if port is not None:
            self._ports[service] = port
        self.of_kind[kind].append(service)
        return service

    def running(self, kind: WorkerKind) -> list[Service]:
        return [service for service in self.of_kind[kind] if service.is_running]

    @property
    def gateway(self) -> Service:
        """The first, as `media` and `pipeline`."""
        return self.of_kind["gateway"][0]

    @property
    def media(self) -> Service:
        return self.of_kind["media"][0]

    @property
    def pipeline(self) -> Service:
        return self.of_kind["pipeline"][0]

    @property
    def port(self) -> int:
        """Of the first gateway."""
        return self._ports[self.gateway]

    @property
    def broker_port(self) -> int:
        return urlsplit(self.broker_url).port or 0

    @property
    def services(self) -> list[Service]:
        return [service for services in self.of_kind.values() for service in services]

    @property
    def signaling_url(self) -> str:
        return self.signaling_urls[0]

    @property
    def signaling_urls(self) -> list[str]:
        """Of the gateways, each port once."""
        return [f"ws://127.0.0.1:{port}/signaling" for port in dict.fromkeys(self._ports.values())]

    def port_of(self, gateway: Service) -> int:
        return self._ports[gateway]

    def at(self, signaling_url: str) -> Service:
        """The running gateway there."""
        return next(g for g in self.running("gateway") if self._ports[g] == urlsplit(signaling_url).port)

    def worker(self, worker_id: str) -> Service:
        return next(service for service in self.services if service.worker_id == worker_id)

    async def holder(self, session: str, field: str) -> Service:
        """The process in a field of the session's record, which may be written after the client has heard of it."""
        async with contextlib.aclosing(connect(self.broker_url)) as client, asyncio.timeout(5):
            while not (worker := await holder(client, session, field)):  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.05)
            return self.worker(worker)

    async def ready(self) -> Self:
        """Until every running process takes sessions."""
        client = connect_blocking(self.broker_url)  # the patient one: processes that start take all the time
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                for kind in self.of_kind:
                    while not {service.worker_id for service in self.running(kind)} <= await _live(client, kind):
                        self._raise_if_dead()
                        await asyncio.sleep(0.1)
                for gateway in self.running("gateway"):
                    while not await asyncio.to_thread(_is_ready, self._ports[gateway]):
                        self._raise_if_dead()
                        await asyncio.sleep(0.1)
        finally:
            await client.aclose()
        return self

    async def leftovers(self) -> list[str]:
        """Keys that ended sessions and dead workers have left, once every expiry is over."""
        async with contextlib.aclosing(connect(self.broker_url)) as client:
            return await leftovers_at_last(
                client, {service.worker_id for service in self.services if service.is_running}
            )

    def stop(self) -> list[int]:
        """Ends all; their exit codes, gateways first."""
        return [service.stop() for service in self.services]

    def logs(self) -> str:
        return "\n".join(line for service in self.services for line in service.log)

    def _raise_if_dead(self) -> None:
        for service in self.services:
            if service.process.poll() and not service.was_killed:
                raise RuntimeError(f"a service ended: {self.logs()}")


async def _live(client: Redis, kind: WorkerKind) -> set[str]:
    """The ids of the workers that are there; none if the machine is too busy to tell."""
    with contextlib.suppress(*BROKER_FAILURES):
        return {worker.worker_id for worker in await live_workers(client, kind)}
    return set()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@contextlib.asynccontextmanager
async def deployed(
    broker_url: str,
    *,
    gateways: int = 1,
    media_workers: int = 1,
    pipeline_workers: int = 1,
    broker_urls: Mapping[WorkerKind, str] | None = None,
    settings_of: Mapping[WorkerKind, Mapping[str, str]] | None = None,
    **settings: str,
) -> AsyncIterator[Deployment]:
    """A running deployment, stopped on exit. Fails if any key in the broker has no expiry."""
    await _forget_earlier_workers(broker_url)
    deployment = Deployment(
        broker_url,
        gateways=gateways,
        media_workers=media_workers,
        pipeline_workers=pipeline_workers,
        broker_urls=broker_urls,
        settings_of=settings_of,
        **settings,
    )
    try:
        yield await deployment.ready()
    finally:
        codes = await asyncio.to_thread(deployment.stop)  # their broker may be a proxy of this loop
        print(deployment.logs())
    assert not any(codes), f"exit codes {codes}"
    async with contextlib.aclosing(connect(broker_url)) as client:
        assert await keys_for_ever(client) == []


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
