"""What `antiphon eval` does."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.evaluation.embedded_stack import StackFailed
from deploy.evaluation.outcome import Outcome
from deploy.evaluation.report import lines, summary, write_json, write_junit
from deploy.evaluation.runner import run_at, run_embedded, signaling_url
from deploy.evaluation.scenario_files import load_scenarios
from shared.errors import AntiphonError, ConfigError

EXIT_NOT_MET = 1
EXIT_BAD_FILE = 2


def evaluate(
    files: Sequence[Path], url: str | None, at_once: int, json_file: Path | None, junit_file: Path | None
) -> int:
    """Run all scenarios of `files` and tell how they went. Returns the exit code."""
    try:
        scenarios = load_scenarios(files)
        if url is not None:
            signaling_url(url)
    except ConfigError as error:
        print(f"antiphon: {error.message}", file=sys.stderr)
        return EXIT_BAD_FILE
    try:
        if url is None:
            print(f"Starting the embedded stack for {len(scenarios)} scenarios ...", flush=True)
            outcomes = asyncio.run(run_embedded(scenarios, at_once, _show))
        else:
            outcomes = asyncio.run(run_at(url, scenarios, at_once, _show))
        print(summary(outcomes))
        if json_file is not None:
            write_json(json_file, outcomes)
        if junit_file is not None:
            write_junit(junit_file, outcomes)
    except StackFailed as error:
        print(f"antiphon: {error.message}", file=sys.stderr)
        return error.exit_code
    except AntiphonError as error:
        print(f"antiphon: {error.message}", file=sys.stderr)
        return EXIT_BAD_FILE
    return 0 if all(outcome.passed for outcome in outcomes) else EXIT_NOT_MET


def _show(outcome: Outcome) -> None:
    print("\n".join(lines(outcome)), flush=True)
