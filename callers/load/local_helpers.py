"""Helper processes on the leader's own host."""

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

KEY = "ANTIPHON_LOAD_KEY"
_END_TIMEOUT_S = 10.0


def address_for(listening: str, port: int) -> str:
    """Where processes of this host find a leader that listens on that address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listening, listening)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@asynccontextmanager
async def local_helpers(
    count: int, command: Sequence[str], environment: Mapping[str, str], leader: str, key: str
) -> AsyncIterator[list[Process]]:
    """`command` is `antiphon load join`, to which the `leader`'s address is added.

    Leaving waits for them, and kills those that do not end.
    """
    processes: list[Process] = []

    async def start() -> None:
        # Ctrl-C is for the leader, which lets its helpers say what they have measured.
        process = await asyncio.create_subprocess_exec(
            *command,
            leader,
            stdin=DEVNULL,
            stdout=DEVNULL,
            env={**environment, KEY: key},
            start_new_session=True,
        )
        processes.append(process)

    try:
        for _ in range(count):
            await start()
        yield processes
    finally:
        await asyncio.gather(*(_end(process) for process in processes))


async def _end(process: Process) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_TIMEOUT_S):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
