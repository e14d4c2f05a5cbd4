"""The scenarios of this folder, on one embedded stack, with the embedded engines and a loopback server of tools."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.evaluation.outcome import Outcome
from deploy.evaluation.report import lines
from deploy.evaluation.runner import run_embedded
from deploy.evaluation.scenario_files import load_scenarios

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.yaml"))
AT_ONCE = 6

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

Outcomes = dict[Path, Outcome]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes() -> AsyncIterator[Outcomes]:
    """All are run before the first is looked at, several at once."""
    run = await run_embedded(load_scenarios(FILES), AT_ONCE, lambda _: None)
    yield {outcome.file: outcome for outcome in run}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_scenario(outcomes: Outcomes, file: Path) -> None:
    assert outcomes[file].passed, "\n".join(lines(outcomes[file]))
