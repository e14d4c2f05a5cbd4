from typing import Any

import pytest
from pydantic import ValidationError

from callers.scenario.scenario import Backchannel, BargeIn, HangUp, Noise, Say, Scenario
from callers.voice import Voice


def read(*steps: Any, **fields: Any) -> Scenario:
    return Scenario.model_validate({"name": "A call", "agent": "desk", "steps": steps, **fields})


def test_steps_have_their_text_and_their_wait() -> None:
    say, barge_in, backchannel, noise, hang_up = read(
        {"say": "Hello."},
        {"barge_in": {"after": "1.5s", "say": "Stop."}},
        {"backchannel": "uh-huh", "after": "2s"},
        {"noise": {"kind": "white", "duration": "1s"}},
        "hang_up",
    ).steps
    assert isinstance(say, Say)
    assert say.text == "Hello."
    assert isinstance(barge_in, BargeIn)
    assert (barge_in.text, barge_in.after) == ("Stop.", 1.5)
    assert isinstance(backchannel, Backchannel)
    assert (backchannel.text, backchannel.after) == ("uh-huh", 2.0)
    assert isinstance(noise, Noise)
    assert (noise.noise.level_db, noise.after) == (-30.0, None)
    assert isinstance(hang_up, HangUp)


def test_a_step_may_change_the_callers_voice() -> None:
    (say,) = read({"say": "Hello.", "rate": 200, "level_db": -20}).steps
    assert isinstance(say, Say)
    assert say.voice_after(Voice(voice="de", pitch=30)) == Voice(voice="de", rate=200, pitch=30, level_db=-20)


@pytest.mark.parametrize(
    "step",
    [
        {"say": "Hello.", "type": "hello"},
        {"say": ""},
        {"say": "Hello.", "speed": 3},
        {"say": "Hello.", "rate": 1000},
        {"noise": {"kind": "pink", "duration": "1s"}},
        {"wait_for": "forever"},
        "shout",
    ],
)
def test_an_impossible_step_is_refused(step: Any) -> None:
    with pytest.raises(ValidationError):
        read(step)


def test_a_scenario_without_steps_is_refused() -> None:
    with pytest.raises(ValidationError, match="steps"):
        read()
