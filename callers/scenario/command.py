"""The command `antiphon eval`."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from callers.scenario.outcome import Outcome
from callers.scenario.report import lines, summary, write_json, write_junit
from callers.scenario.runner import StartStack, run_at, run_embedded
from callers.scenario.scenario_files import load_scenarios
from callers.server import Server, read_api_key
from shared.errors import ConfigError, EngineError
from shared.terminal_text import escaped

EXIT_NOT_MET = 1
EXIT_BAD_FILE = 2


class Files(NamedTuple):
    """Files to write: reports, and the log of the embedded stack."""

    json: Path | None = None
    junit: Path | None = None
    log: Path | None = None


class Target(NamedTuple):
    """A server that runs already. It gets the API key itself, or the one in a file."""

    url: str
    api_key: str = ""
    api_key_file: Path | None = None

    def server(self) -> Server:
        """Raises `ConfigError`."""
        return Server(self.url, self.api_key if self.api_key_file is None else read_api_key(self.api_key_file))


def evaluate(
    scenario_files: Sequence[Path], target: Target | None, at_once: int, files: Files, start_stack: StartStack
) -> int:
    """Run all scenarios, at `target` or on stacks of our own, and print their outcomes. Returns the exit code."""
    try:
        scenarios = load_scenarios(scenario_files)
        server = target and target.server()
    except ConfigError as error:
        _complain(error)
        return EXIT_BAD_FILE
    try:
        if server is None:
            print(f"Starting the embedded stack for {len(scenarios)} scenarios ...", flush=True)
            with _written(files.log) as on_line:
                outcomes = asyncio.run(run_embedded(scenarios, at_once, _show, start_stack, on_line))
        else:
            outcomes = asyncio.run(run_at(server, scenarios, at_once, _show))
        print(summary(outcomes))
        if files.json is not None:
            write_json(files.json, outcomes)
        if files.junit is not None:
            write_junit(files.junit, outcomes)
    except (ConfigError, EngineError) as error:
        _complain(error)
        return EXIT_BAD_FILE
    return 0 if all(outcome.passed for outcome in outcomes) else EXIT_NOT_MET


@contextlib.contextmanager
def _written(file: Path | None) -> Iterator[Callable[[str], None]]:
    """A function that writes a line to `file`."""
    if file is None:
        yield lambda _: None
        return
    try:
        stream = file.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: name a file in an existing folder") from error
    with stream:
        yield lambda line: print(line, file=stream)


def _show(outcome: Outcome) -> None:
    print("\n".join(lines(outcome)), flush=True)


def _complain(error: ConfigError | EngineError) -> None:
    print("antiphon:", escaped(error.message, keep="\n"), file=sys.stderr)
