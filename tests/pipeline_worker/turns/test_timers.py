from pipeline_worker.turns.events import CallerIdle, Input, PauseExpired, TimeExceeded
from pipeline_worker.turns.state import State
from pipeline_worker.turns.timers import TurnTimers
from shared.agent import AgentDefinition, Idle, Limits

AGENT = AgentDefinition(id="a", name="A", limits=Limits(max_duration_s=60), idle=Idle(prompt_after_s=5))
TENTH = 1_600


def passing(timers: TurnTimers, tenths: int, state: State, quiet: bool = True) -> list[tuple[int, Input]]:
    """(tenth of a second, input) of each input that came."""
    return [(tenth, event) for tenth in range(1, tenths + 1) for event in timers.advance(TENTH, state, quiet)]


def test_the_sessions_time_is_exceeded_once() -> None:
    timers = TurnTimers(AGENT.model_copy(update={"idle": Idle()}))
    assert passing(timers, 1000, State.LISTENING) == [(600, TimeExceeded())]


def test_the_time_before_a_takeover_counts() -> None:
    agent = AGENT.model_copy(update={"idle": Idle()})
    assert passing(TurnTimers(agent, elapsed_s=50), 1000, State.LISTENING) == [(100, TimeExceeded())]
    assert passing(TurnTimers(agent, elapsed_s=70), 1000, State.LISTENING) == [(1, TimeExceeded())]


def test_a_silent_caller_is_idle_repeatedly() -> None:
    assert passing(TurnTimers(AGENT), 110, State.LISTENING) == [(50, CallerIdle()), (100, CallerIdle())]


def test_a_caller_who_speaks_or_listens_is_not_idle() -> None:
    timers = TurnTimers(AGENT)
    assert passing(timers, 49, State.LISTENING) == []
    assert passing(timers, 1, State.LISTENING, quiet=False) == []
    assert passing(timers, 49, State.LISTENING) == []
    assert passing(timers, 100, State.SPEAKING) == []
    assert passing(timers, 50, State.LISTENING) == [(50, CallerIdle())]


def test_a_pause_expires_soon_after_the_sound_has_ended() -> None:
    timers = TurnTimers(AGENT)
    assert passing(timers, 10, State.PAUSED, quiet=False) == []
    assert passing(timers, 6, State.PAUSED) == [(6, PauseExpired())]


def test_a_pause_expires_even_if_the_sound_goes_on() -> None:
    assert passing(TurnTimers(AGENT), 35, State.PAUSED, quiet=False) == [(30, PauseExpired())]
