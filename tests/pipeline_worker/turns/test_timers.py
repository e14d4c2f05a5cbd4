from pipeline_worker.turns.events import CallerIdle, Input, PauseExpired, TimeExceeded
from pipeline_worker.turns.state import State
from pipeline_worker.turns.timers import TurnTimers
from shared.agent import AgentDefinition, Idle, Limits

AGENT = AgentDefinition(id="a", name="A", limits=Limits(max_duration_s=60), idle=Idle(prompt_after_s=5))
TENTH = 1_600


def passing(clock: TurnTimers, tenths: int, state: State, quiet: bool = True) -> list[tuple[int, Input]]:
    """What time brings, and after how many tenths of a second."""
    return [(tenth, event) for tenth in range(1, tenths + 1) for event in clock.advance(TENTH, state, quiet)]


def test_the_session_s_time_is_over_once() -> None:
    clock = TurnTimers(AGENT.model_copy(update={"idle": Idle()}))
    assert passing(clock, 1000, State.LISTENING) == [(600, TimeExceeded())]


def test_a_silent_caller_is_idle_again_and_again() -> None:
    assert passing(TurnTimers(AGENT), 110, State.LISTENING) == [(50, CallerIdle()), (100, CallerIdle())]


def test_whoever_speaks_or_is_spoken_to_is_not_idle() -> None:
    clock = TurnTimers(AGENT)
    assert passing(clock, 49, State.LISTENING) == []
    assert passing(clock, 1, State.LISTENING, quiet=False) == []
    assert passing(clock, 49, State.LISTENING) == []
    assert passing(clock, 100, State.SPEAKING) == []
    assert passing(clock, 50, State.LISTENING) == [(50, CallerIdle())]


def test_a_pause_is_over_soon_after_the_sound_that_made_it() -> None:
    clock = TurnTimers(AGENT)
    assert passing(clock, 10, State.PAUSED, quiet=False) == []
    assert passing(clock, 6, State.PAUSED) == [(6, PauseExpired())]


def test_a_pause_has_an_end_even_if_the_sound_has_none() -> None:
    assert passing(TurnTimers(AGENT), 35, State.PAUSED, quiet=False) == [(30, PauseExpired())]
