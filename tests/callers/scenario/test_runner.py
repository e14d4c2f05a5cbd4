from pathlib import Path

import pytest

from callers.scenario.outcome import Outcome
from callers.scenario.runner import run_at, signaling_url
from callers.scenario.scenario import Scenario
from shared.errors import ConfigError
from tests.fakes.ports import free_port


@pytest.mark.parametrize(
    ("url", "signaling"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/signaling"),
        ("https://voice.example/desk/", "wss://voice.example/desk/signaling"),
    ],
)
def test_signaling_is_beside_the_page(url: str, signaling: str) -> None:
    assert signaling_url(url) == signaling


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host", "http://", ""])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="write http://host:8080"):
        signaling_url(url)


async def test_an_absent_server_fails_each_scenario_with_the_reason() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    scenario = Scenario.model_validate({"name": "A call", "agent": "desk", "steps": ["hang_up"]})
    told: list[Outcome] = []
    outcomes = await run_at(url, [(Path("a.yaml"), scenario), (Path("b.yaml"), scenario)], 1, told.append)
    assert [str(outcome.file) for outcome in outcomes] == ["a.yaml", "b.yaml"]
    assert told == outcomes
    for outcome in outcomes:
        (failure,) = outcome.failures
        assert str(failure).startswith(f"the call: expected to be possible, but no call over {signaling_url(url)}")
