"""Ports for servers that tests start."""

import itertools
import os
import secrets
import socket

_FIRST = 20_000
_OF_EACH_WORKER = 1_500
_WORKERS = 8
"""The last port is below 32768: from there, Linux gives ports to any socket that does not name one."""


def free_port() -> int:
    """A TCP port that is free now, and that no other worker of pytest-xdist will be given."""
    return next(port for port in _ports if _is_free(port))


def _own_ports() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first = _FIRST + worker * _OF_EACH_WORKER
    return range(first, first + _OF_EACH_WORKER)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports = itertools.islice(itertools.cycle(_own_ports()), secrets.randbelow(_OF_EACH_WORKER), None)
"""From a random one: another run of the tests may be under way on this machine."""
