"""The command `antiphon load`."""

import asyncio
import contextlib
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from callers.load.fleet import Fleet
from callers.load.helper import help_leader
from callers.load.link import LinkError
from callers.load.local_helpers import local_helpers
from callers.load.messages import Prepare
from callers.load.options import Options, address, http_url
from callers.load.progress import Progress
from callers.load.results import Environment, LoadReport
from callers.load.run import Run, callers_were_the_limit
from callers.load.server_watch import ServerWatch
from callers.load.sound import marked_packets
from callers.server import Server
from shared.errors import AntiphonError, ConfigError

EXIT_FAILED = 1
EXIT_USAGE = 2
_HELPERS_TIMEOUT_S = 60.0
_REMOTE_HELPERS_TIMEOUT_S = 600.0


class HelperCommand(NamedTuple):
    """How to start `antiphon load join`, to which the leader's address is added."""

    argv: Sequence[str]
    environment: Mapping[str, str]


def join(leader: str, key: str) -> int:
    """Be a helper of the leader at HOST:PORT. Returns the exit code."""
    try:
        host, port = address(leader)
        asyncio.run(help_leader(host, port, key.encode()))
    except ConfigError as error:
        return _complain(error, EXIT_USAGE)
    except LinkError as error:
        return _complain(error, EXIT_FAILED)
    return 0


def load(options: Options, helper: HelperCommand) -> int:
    """Perform the scenario, print and write the report. Returns the exit code."""
    try:
        return asyncio.run(_load(options, helper))
    except ConfigError as error:
        return _complain(error, EXIT_USAGE)
    except AntiphonError as error:
        return _complain(error, EXIT_FAILED)


async def _load(options: Options, helper: HelperCommand) -> int:
    plan, url = options.schedule(), http_url(options.url)
    Server(url, options.api_key)  # complains before anything is started
    progress = Progress(sys.stdout)
    key = options.key or secrets.token_hex(16)
    prepare = Prepare(
        url=url,
        agent=options.agent,
        api_key=options.api_key,
        tokens=list(options.tokens),
        packets=await marked_packets(),
        impaired=options.impaired,
    )
    expected = options.processes + (options.hosts - 1)
    fleet = Fleet(key.encode(), prepare, expected, progress.say)
    host, port = options.listen
    began = datetime.now(UTC)
    async with (
        fleet.listening(host, port) as bound_port,
        local_helpers(options.processes, helper.argv, helper.environment, bound_port, key),
    ):
        if options.hosts > 1:
            progress.say(f"waiting for {options.hosts - 1} other hosts: antiphon load join HOST:{bound_port}")
        await _gather(fleet, expected, _REMOTE_HELPERS_TIMEOUT_S if options.hosts > 1 else _HELPERS_TIMEOUT_S)
        run = Run(fleet, ServerWatch(), progress.point)
        with _interruptible(run, progress):
            await run.perform(plan, lambda _: None, progress.stage)
        environment = Environment(
            hosts=sorted({each.host for each in fleet.helpers}) or [socket.gethostname()],
            processes=len(fleet.helpers),
        )
    report = LoadReport(
        target_url=url,
        agent=options.agent,
        scenario=options.scenario,
        parameters=options.parameters(),
        began=began.isoformat(timespec="seconds"),
        duration_s=run.seconds,
        environment=environment,
        stages=run.stages,
        series=run.series,
        callers_were_the_limit=any(map(callers_were_the_limit, run.stages)),
    )
    if options.json is not None:
        options.json.write_text(report.to_json(), encoding="utf-8")
    progress.summary(report)
    return 0 if any(stage.callers_connected for stage in run.stages) else EXIT_FAILED


async def _gather(fleet: Fleet, expected: int, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while len(fleet.helpers) < expected:  # noqa: ASYNC110 (helpers come when they come)
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise AntiphonError(f"{len(fleet.helpers)} of {expected} helpers have come", code="helpers_missing") from error


@contextlib.contextmanager
def _interruptible(run: Run, progress: Progress) -> Iterator[None]:
    """Ctrl-C ends the run, which still reports. A second one ends the process."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        progress.say("stopping; the report has what was measured")
        run.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _complain(error: AntiphonError, exit_code: int) -> int:
    print(f"antiphon: {error.message}", file=sys.stderr)
    return exit_code
