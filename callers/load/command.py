"""The command `antiphon load`."""

import asyncio
import contextlib
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import uvloop

from callers.load.fleet import Fleet
from callers.load.gate import Result, compare, exit_code, read_gate
from callers.load.helper import help_leader
from callers.load.html_report import html_report
from callers.load.link import LinkError
from callers.load.local_helpers import KEY, address_for, local_helpers
from callers.load.marked_sound import marked_packets
from callers.load.messages import Prepare
from callers.load.options import Options, address, http_url
from callers.load.progress import Progress
from callers.load.results import Environment, LoadReport
from callers.load.run import Run
from callers.load.saturation import callers_were_the_limit
from callers.load.server_watch import ServerWatch
from callers.load.text_report import text_report
from callers.server import Server
from callers.signaling import NotConnected, Signaling
from shared.errors import AntiphonError, ConfigError
from shared.io.build import own_version
from shared.io.yaml_file import read_yaml
from shared.terminal_text import escaped

EXIT_FAILED = 1
EXIT_USAGE = 2
_HELPERS_TIMEOUT_S = 60.0
_LEADER_TIMEOUT_S = 60.0
_HOSTS_TIMEOUT_S = 600.0
_OFFER_TIMEOUT_S = 15.0
"""Longer than a gateway waits for its media workers."""


class HelperCommand(NamedTuple):
    """How to start `antiphon load join`, to which the leader's address is added."""

    argv: Sequence[str]
    environment: Mapping[str, str]


def join(leader: str, key: str) -> int:
    """Be a helper of the leader at HOST:PORT. Returns the exit code."""
    try:
        uvloop.run(_join(*address(leader), key.encode()))
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


async def _join(host: str, port: int, key: bytes) -> None:
    """Waits for a leader that is not there yet: hosts and Jobs start in any order."""
    began_s, told = time.monotonic(), False
    while True:
        try:
            return await help_leader(host, port, key)
        except LinkError as error:
            if error.code != "no_leader" or time.monotonic() > began_s + _LEADER_TIMEOUT_S:
                raise
            if not told:
                print(f"{escaped(error.message)}; waiting for it", file=sys.stderr)
                told = True
        await asyncio.sleep(1)  # between tries, until the time-out above


async def _load(options: Options, helper: HelperCommand) -> int:
    levels, url = options.levels(), http_url(options.url)
    server = Server(url, options.api_key)
    for file in (options.json, options.html):
        if file is not None:
            _check_writable(file)
    bounds = None if options.gate is None else read_gate(next(iter(read_yaml(options.gate)), None), str(options.gate))
    await _try_door(server, options)
    key = options.key or secrets.token_hex(16)
    with Progress(sys.stdout) as progress:
        prepare = Prepare(
            url=url,
            agent=options.agent,
            api_key=options.api_key,
            tokens=list(options.tokens),
            packets=[] if options.scripts else await marked_packets(),
            scripts=list(options.scripts),
            impaired=options.impaired,
        )
        began = datetime.now(UTC)
        async with _fleet(options, key, prepare, helper, progress) as fleet:
            watch = ServerWatch(url, options.metrics, options.api_key)
            run = Run(fleet, watch, progress.point)
            async with watch.running():
                with _interruptible(run, progress):
                    await run.perform(levels, options.pace_per_s, options.replaced_after_s, progress.stage)
            hosts, duration_s = [each.host for each in fleet.helpers], run.seconds
    report = LoadReport(
        target_url=url,
        agent=", ".join(options.called_agents),
        scenario=options.scenario,
        parameters=options.parameters(),
        began=began.isoformat(timespec="seconds"),
        duration_s=duration_s,
        environment=Environment(hosts=sorted(set(hosts)), processes=len(hosts), version=own_version()),
        stages=run.stages,
        series=run.series.points,
        knee=levels.knee,
        callers_were_the_limit=callers_were_the_limit(run.stages, levels.knee),
    )
    results = [] if bounds is None else compare(report, bounds)
    print(*text_report(report, results, *_terminal_width()), sep="\n")
    _write(options, report, results)
    talked = any(stage.callers_connected for stage in run.stages)
    return exit_code(results) if talked else EXIT_FAILED


@contextlib.asynccontextmanager
async def _fleet(
    options: Options, key: str, prepare: Prepare, helper: HelperCommand, progress: Progress
) -> AsyncIterator[Fleet]:
    """All helpers have come. Leaving ends them."""
    expected = options.processes + options.hosts - 1
    fleet = Fleet(key.encode(), prepare, expected, progress.say)
    async with fleet.listening(*options.listen) as port:
        if options.hosts > 1 and not options.key:
            progress.say(f"The key that the other hosts need in {KEY}: {key}")
        if options.hosts > 1:
            progress.say(
                f"Waiting for {options.hosts - 1} more of {options.hosts} hosts: antiphon load join HOST:{port}"
            )
            if options.listen[0] in ("127.0.0.1", "::1", "localhost"):
                progress.say(f"They cannot reach {options.listen[0]} from other machines: use --listen 0.0.0.0:7000")
        leader = address_for(options.listen[0], port)
        async with local_helpers(options.processes, helper.argv, helper.environment, leader, key):
            try:
                await _gather(fleet, expected, _HOSTS_TIMEOUT_S if options.hosts > 1 else _HELPERS_TIMEOUT_S)
                fleet.close_door()
                yield fleet
            finally:
                await fleet.stop()


async def _try_door(server: Server, options: Options) -> None:
    """What would stop every caller stops the run before it begins: a wrong address, key or agent.

    Raises `NotConnected`.
    """
    try:
        for agent in options.called_agents:
            token = options.tokens[0] if options.tokens else await server.token(agent)
            await server.relays(token)
            await _try_agent(server, agent, token)
    except NotConnected as error:
        if error.code == "token_required":
            raise ConfigError("the server requires tokens: use --api-key-file, --token or --token-file") from error
        if error.retry_after_ms is None:
            raise


async def _try_agent(server: Server, agent: str, token: str | None) -> None:
    """Raises `NotConnected` if callers of this agent would be refused. The token is good for a call afterwards.

    A server need not list its agents, so this is an offer, but one without audio: if that is the only reason for a
    refusal, all is well.
    """

    async def make_token() -> str | None:
        return token

    signaling = Signaling(server.signaling_url, agent, lambda _: None, make_token=make_token)
    try:
        async with asyncio.timeout(_OFFER_TIMEOUT_S):
            await signaling.exchange("v=0")
    except TimeoutError as error:
        raise NotConnected(f"no answer over {server.signaling_url}") from error
    except NotConnected as refused:
        if refused.code != "no_audio":
            raise
    finally:
        await signaling.close()


def _check_writable(file: Path) -> None:
    """Hours later it would be too late. Raises `ConfigError`."""
    was_there = file.exists()
    try:
        file.open("a").close()
        if not was_there:
            file.unlink()
    except OSError as error:
        raise _unwritable(file, error) from error


def _write(options: Options, report: LoadReport, results: Sequence[Result]) -> None:
    """Raises `ConfigError`."""
    texts = ((options.json, report.to_json()), (options.html, html_report(report, results) if options.html else ""))
    for file, text in texts:
        if file is not None:
            try:
                file.write_text(text, encoding="utf-8")
            except OSError as error:
                raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{file}: {error.strerror}: name a file in an existing folder")


def _terminal_width() -> tuple[int, ...]:
    """Empty where there is no terminal."""
    return (shutil.get_terminal_size().columns,) if sys.stdout.isatty() else ()


async def _gather(fleet: Fleet, expected: int, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while len(fleet.helpers) < expected:  # noqa: ASYNC110 (a helper that joins sets no event; bounded by the time-out)
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
    print(f"antiphon: {escaped(error.message)}", file=sys.stderr)
    return exit_code
