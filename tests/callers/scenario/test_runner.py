from pathlib import Path

from callers.scenario.outcome import Outcome
from callers.scenario.runner import run_at
from callers.scenario.scenario import Scenario
from callers.server import Server
from tests.fakes.ports import free_port


async def test_an_absent_server_fails_each_scenario_with_the_reason() -> None:
    server = Server(f"http://127.0.0.1:{free_port()}")
    scenario = Scenario.model_validate({"name": "A call", "agent": "desk", "steps": ["hang_up"]})
    told: list[Outcome] = []
    outcomes = await run_at(server, [(Path("a.yaml"), scenario), (Path("b.yaml"), scenario)], 1, told.append)
    assert [str(outcome.file) for outcome in outcomes] == ["a.yaml", "b.yaml"]
    assert told == outcomes
    for outcome in outcomes:
        (failure,) = outcome.failures
        assert str(failure).startswith(f"the call: expected to be possible, but no call over {server.signaling_url}")
