"""The scenarios of this folder, on one embedded stack, with the embedded engines and a loopback server with tools."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from callers.scenario.outcome import Outcome
from callers.scenario.report import lines
from callers.scenario.runner import run_embedded
from callers.scenario.scenario_files import load_scenarios
from deploy.embedded_stack import embedded_stack
from tests.fakes.openai_server import OpenAiServer
from tests.scenarios import bookings

FOLDER = Path(__file__).parent
AGENTS = FOLDER / "agents"
FILES = sorted(FOLDER.glob("*.yaml"))
AT_ONCE = 6

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

Outcomes = dict[Path, Outcome]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agents(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The agents, with the loopback server on a free port instead of the one in the file."""
    server = OpenAiServer(bookings.MANNER)
    await server.start()
    folder = tmp_path_factory.mktemp("agents")
    for file in AGENTS.glob("*.yaml"):
        text = file.read_text(encoding="utf-8").replace(f"http://127.0.0.1:{bookings.PORT}/v1", server.base_url)
        (folder / file.name).write_text(text, encoding="utf-8")
    yield folder
    await server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(agents: Path) -> Outcomes:
    """All run before the first is checked, several at once.

    A failure is tried twice more, with fewer at once: on a shared machine, others can take the processor away
    in the middle of a word, and then a recogniser misses the word, which is not our fault.
    """
    outcomes = await _run(FILES, agents, AT_ONCE)
    for at_once in (2, 1):
        failed = [file for file, outcome in outcomes.items() if not outcome.passed]
        for file in failed:
            print("\n".join(lines(outcomes[file])))
        if failed:
            outcomes |= await _run(failed, agents, at_once)
    return outcomes


async def _run(files: list[Path], agents: Path, at_once: int) -> Outcomes:
    scenarios = [(file, one.model_copy(update={"agents_dir": agents})) for file, one in load_scenarios(files)]
    log: list[str] = []
    run = await run_embedded(scenarios, at_once, lambda _: None, embedded_stack, log.append)
    print("\n".join(log))
    return {outcome.file: outcome for outcome in run}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_scenario(outcomes: Outcomes, file: Path) -> None:
    assert outcomes[file].passed, "\n".join(lines(outcomes[file]))
