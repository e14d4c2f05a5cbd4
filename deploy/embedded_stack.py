"""A temporary one-machine deployment on a free port, for `antiphon eval`."""

import asyncio
import contextlib
import os
import re
import socket
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

from deploy.embedded_broker import REDIS_URL
from deploy.process_command import ProcessFailed, bound_command, module_command, with_import_path
from shared.io.service import EXIT_FAILED

_READY = re.compile(r"Antiphon is ready: (\S+)")
_READY_TIMEOUT_S = 150.0
_STOP_TIMEOUT_S = 20.0
_LAST_LINES = 40


@contextlib.asynccontextmanager
async def embedded_stack(
    agents_dir: Path | None, environment: Mapping[str, str], on_line: Callable[[str], None] = lambda _: None
) -> AsyncIterator[str]:
    """Yields the URL of a stack that is ready, with its own broker. Leaving stops it.

    `on_line` takes each line of its log. Raises `ProcessFailed` with the exit code of `antiphon up`.
    """
    port = str(_free_port())
    command = [
        *module_command("deploy.launch"),
        "up",
        "--port",
        port,
        "--media-workers",
        "1",
        "--pipeline-workers",
        "1",
    ]
    settings = {name: value for name, value in os.environ.items() if name != REDIS_URL} | dict(environment)
    if agents_dir is not None:
        settings["ANTIPHON_AGENTS_DIR"] = str(agents_dir)
    process = await asyncio.create_subprocess_exec(
        *bound_command(command), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=with_import_path(settings)
    )
    assert process.stdout is not None
    output = _lines(process.stdout, on_line)
    draining: asyncio.Task[None] | None = None
    try:
        url = await _wait_until_ready(process, output)
        draining = asyncio.create_task(_drain(output))
        yield url
    finally:
        await _stop(process)
        if draining is not None:
            await draining


async def _wait_until_ready(process: Process, output: AsyncIterator[str]) -> str:
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            async for line in output:
                last_lines.append(line)
                if found := _READY.search(line):
                    return found[1]
            exit_code = await process.wait()
    except TimeoutError as error:
        raise ProcessFailed(f"the embedded stack is not ready after {_READY_TIMEOUT_S:g} s", EXIT_FAILED) from error
    raise ProcessFailed("the embedded stack did not start:\n" + "\n".join(last_lines), exit_code or EXIT_FAILED)


async def _lines(output: asyncio.StreamReader, on_line: Callable[[str], None]) -> AsyncIterator[str]:
    async for raw in output:
        line = raw.decode(errors="replace").rstrip()
        on_line(line)
        yield line


async def _drain(output: AsyncIterator[str]) -> None:
    async for _ in output:
        pass


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
