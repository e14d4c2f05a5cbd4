"""Runs one service as a process: settings, logs, event loop, signals, exit codes. Every `__main__` calls it."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop
from prometheus_client import Gauge

from shared.errors import AntiphonError, BrokerError, ConfigError, leaves
from shared.io.build import show_build
from shared.io.logs import configure_logs, get_logger
from shared.settings import Settings

EXIT_CONFIG = 78
EXIT_BROKER = 69
EXIT_FAILED = 70
"""Exit codes as in sysexits.h: restarting does not help against `EXIT_CONFIG`."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SIGNALS_HELP = "SIGTERM or SIGINT lets it finish its sessions and end; a second one ends it at once."
_YOUNG_OBJECTS = 10_000

_tasks = Gauge("antiphon_tasks", "Tasks on the event loop of this process")

SettingsT = TypeVar("SettingsT", bound=Settings)
Serve = Callable[[SettingsT, asyncio.Event], Awaitable[None]]
"""A service: runs until the event is set, then drains and returns."""


def run_service(name: str, purpose: str, settings_type: type[SettingsT], serve: Serve[SettingsT]) -> int:
    """Run a service process from start to end. Returns its exit code."""
    arguments = sys.argv[1:]
    if arguments:
        wants_help = arguments in (["--help"], ["-h"])
        command = name.replace("_", "-")
        usage = f"usage: antiphon {command}\n\n{purpose}\n{_SIGNALS_HELP}"
        text = f"{usage}\n\nsettings (environment):\n{settings_type.help_text()}"
        print(text if wants_help else f"{name}: the only argument is --help; settings come from the environment")
        return 0 if wants_help else 2
    try:
        settings = settings_type.load()
    except ConfigError as error:
        print(f"{name}: {error.message}", file=sys.stderr)
        return EXIT_CONFIG
    configure_logs(settings.log_level, settings.log_format, name)
    return uvloop.run(_supervise(name, settings, serve))


async def _supervise(name: str, settings: SettingsT, serve: Serve[SettingsT]) -> int:
    log = get_logger()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    show_build()
    _tasks.set_function(lambda: len(asyncio.all_tasks(loop)))

    def on_signal() -> None:
        stop.set()
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
            # The kernel ends the process at the second signal, also if the event loop hangs.
            signal.signal(number, signal.SIG_DFL)

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    exit_code = 0
    try:
        await serve(settings, stop)
    except* AntiphonError as group:
        for error in leaves(group):
            assert isinstance(error, AntiphonError)
            print(f"{name}: {error.message}", file=sys.stderr)
            exit_code = exit_code_for(error)
    if exit_code == 0:
        log.info("service_stopped")
    return exit_code


def exit_code_for(error: AntiphonError) -> int:
    """The exit code of a process that ends with `error`."""
    match error:
        case ConfigError():
            return EXIT_CONFIG
        case BrokerError():
            return EXIT_BROKER
    return EXIT_FAILED


def settle_memory() -> None:
    """Call once the process is ready: takes the objects of start-up out of garbage collection.

    A full collection over them would stop the event loop for 18-28 ms. Batches of frames create thousands of
    short-lived objects: at the default threshold of 700 each batch would start the collector, which took 4 % of a busy
    pipeline worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
