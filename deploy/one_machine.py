"""Runs a deployment on one machine: broker, media workers, pipeline workers and gateway as child processes.

They start in that order. They stop in the reverse order, so that no caller is sent to a process that has ended. When
this process is killed, the kernel kills the children (`bound_process`).
"""

import asyncio
import errno
import ipaddress
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from deploy.child import Child, ChildSpec
from deploy.console import Console
from deploy.embedded_broker import REDIS_URL, Broker, choose_broker, private_folder, wait_for_broker
from deploy.process_command import ProcessFailed, module_command, with_import_path
from deploy.readiness import Expected, wait_until_ready
from shared.errors import AntiphonError, ConfigError
from shared.io.broker import connect
from shared.io.service import exit_code_for

DRAIN_TIMEOUT = "ANTIPHON_DRAIN_TIMEOUT_S"
_DRAIN_TIMEOUT_S = 2.0
_STOP_MARGIN_S = 3.0
_STOPPED_TOGETHER = ("gateway", "media", "pipeline", "broker")
_ALL_INTERFACES = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True)
class Plan:
    """How many workers to run, and where to serve the page."""

    host: str
    port: int
    media_workers: int
    pipeline_workers: int

    @property
    def url(self) -> str:
        """The gateway as this machine reaches it."""
        host = _ALL_INTERFACES.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __str__(self) -> str:
        return (
            f"{_some(self.media_workers, 'media worker')}, {_some(self.pipeline_workers, 'pipeline worker')}, a gateway"
        )


def workers_for(cores: float) -> int:
    """How many media workers, and how many pipeline workers, make use of so many cores.

    A third of them each: a session costs both about the same. The rest is for speech recognition and voices, which are
    helpers of the pipeline workers.
    """
    return max(1, round(cores / 3))


Services = Callable[[Plan, Mapping[str, str], Broker], list[ChildSpec]]


def service_specs(plan: Plan, environment: Mapping[str, str], broker: Broker) -> list[ChildSpec]:
    """The services to start, each with its environment."""
    common = with_import_path(environment) | {REDIS_URL: broker.url}
    common.setdefault("ANTIPHON_LOG_FORMAT", "console")
    # No other machine could take over a session, so there is little to wait for.
    common.setdefault(DRAIN_TIMEOUT, str(_DRAIN_TIMEOUT_S))
    if _is_loopback(plan.host):
        common.setdefault("ANTIPHON_PUBLIC_IPS", "127.0.0.1")
    first_probe_port = int(common.pop("ANTIPHON_PROBE_PORT", "0") or 0)

    def probes(index: int) -> dict[str, str]:
        return {"ANTIPHON_PROBE_PORT": str(first_probe_port + index)} if first_probe_port else {}

    media = [
        ChildSpec(
            f"media-{index}",
            module_command("media_worker"),
            common | {"ANTIPHON_MEDIA_INDEX": str(index)} | probes(index),
        )
        for index in range(plan.media_workers)
    ]
    pipeline = [
        ChildSpec(f"pipeline-{index}", module_command("pipeline_worker"), common | probes(plan.media_workers + index))
        for index in range(plan.pipeline_workers)
    ]
    own = {"ANTIPHON_GATEWAY_HOST": plan.host, "ANTIPHON_GATEWAY_PORT": str(plan.port)}
    own |= probes(plan.media_workers + plan.pipeline_workers)
    return [*media, *pipeline, ChildSpec("gateway", module_command("gateway"), common | own)]


class OneMachine:
    """One deployment. Call `run` once."""

    def __init__(
        self, plan: Plan, environment: Mapping[str, str], console: Console, services: Services = service_specs
    ) -> None:
        self._plan = plan
        self._services = services
        self._environment = environment
        self._console = console
        self._children: list[Child] = []
        self._end: asyncio.Future[AntiphonError | None]

    async def run(self) -> int:
        """Serve until a signal (returns 0) or until a child cannot be kept running (returns its exit code)."""
        check_port_free(self._plan.host, self._plan.port)
        loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        with private_folder() as folder:
            async with asyncio.TaskGroup() as group:
                start_up = asyncio.create_task(self._start_up(group, folder))
                start_up.add_done_callback(self._after_start_up)
                try:
                    error = await self._end
                finally:
                    start_up.cancel()
                    await self._stop_children()
        if error is None:
            self._console.say("Antiphon has stopped.")
            return 0
        # Printed last, so that the logs of the stopped children do not hide it.
        for line in error.message.splitlines():
            self._console.log("antiphon", line)
        return error.exit_code if isinstance(error, ProcessFailed) else exit_code_for(error)

    async def _start_up(self, group: asyncio.TaskGroup, folder: Path) -> None:
        broker = choose_broker(self._environment, folder)
        if broker.command is not None:
            self._start(group, ChildSpec("broker", broker.command, self._environment, quiet=True))
        await wait_for_broker(broker)
        for spec in self._services(self._plan, self._environment, broker):
            self._start(group, spec)
        expected = Expected(self._plan.url, self._plan.media_workers, self._plan.pipeline_workers)
        async with aclosing(connect(broker.url)) as client:
            await wait_until_ready(client, expected, self._console.say)
        self._console.say(f"Antiphon is ready: {self._plan.url}  (Ctrl-C ends it)")
        if not _is_loopback(self._plan.host):
            self._console.say("On other machines, browsers allow the microphone only on https:// pages.")

    def _start(self, group: asyncio.TaskGroup, spec: ChildSpec) -> None:
        child = Child(spec, self._console, self._finish)
        self._children.append(child)
        child.start(group)

    def _on_signal(self) -> None:
        if self._end.done():
            for child in self._children:  # a second signal: do not wait for sessions
                child.kill()
        else:
            self._console.say("Stopping ...")
        self._finish(None)

    def _after_start_up(self, start_up: asyncio.Task[None]) -> None:
        if start_up.cancelled():
            return
        error = start_up.exception()
        if isinstance(error, AntiphonError):
            self._finish(error)
        elif error is not None and not self._end.done():
            self._end.set_exception(error)

    def _finish(self, error: AntiphonError | None) -> None:
        if not self._end.done():
            self._end.set_result(error)

    async def _stop_children(self) -> None:
        deadline_s = float(self._environment.get(DRAIN_TIMEOUT) or _DRAIN_TIMEOUT_S) + _STOP_MARGIN_S
        for kind in _STOPPED_TOGETHER:
            await asyncio.gather(
                *(child.stop(deadline_s) for child in self._children if child.name.split("-")[0] == kind)
            )


def check_port_free(host: str, port: int) -> None:
    """Raises `ConfigError` if the gateway could not listen there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            cure = "choose another with --port (make up PORT=...)"
            raise ConfigError(f"port {port} on {host} is in use: {cure}") from error
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
