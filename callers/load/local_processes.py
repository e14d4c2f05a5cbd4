"""The processes of `antiphon up` on this machine, found from the port of its gateway.

Helpers of a pipeline worker count as processes of its role.
"""

import contextlib
from collections.abc import Mapping

import psutil

from callers.load.results import Role
from callers.load.server_sample import ProcessSample

_ROLES: Mapping[str, Role] = {
    "gateway": "gateway",
    "media_worker": "media_worker",
    "pipeline_worker": "pipeline_worker",
}
_BROKERS = ("valkey-server", "redis-server")


class LocalProcesses:
    """Those that the parent of the process behind `port` has started, with their helpers."""

    def __init__(self, port: int) -> None:
        self._processes: dict[psutil.Process, Role] = {}
        with contextlib.suppress(psutil.Error):
            gateway = _listener(port)
            parent = None if gateway is None else gateway.parent()
            for process in [] if parent is None else parent.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if (role := _role(process)) is not None:
                        self._processes[process] = role

    def samples(self) -> dict[str, ProcessSample]:
        found: dict[str, ProcessSample] = {}
        for process, role in self._processes.items():
            with contextlib.suppress(psutil.Error):
                helpers = process.children(recursive=True) if role == "pipeline_worker" else []
                for each in (process, *helpers):
                    found[f"{role}-{each.pid}"] = _sample(role, each)
        return found


def _sample(role: Role, process: psutil.Process) -> ProcessSample:
    """Raises `psutil.Error`."""
    times = process.cpu_times()
    return ProcessSample(role, times.user + times.system, memory_bytes=float(process.memory_info().rss))


def _listener(port: int) -> psutil.Process | None:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            return psutil.Process(connection.pid)
    return None


def _role(process: psutil.Process) -> Role | None:
    command = process.cmdline()
    if any(name in word for word in command[:1] for name in _BROKERS):
        return "broker"
    if "-m" in command[:-1]:
        return _ROLES.get(command[command.index("-m") + 1])
    return None
