"""Timers of turn taking. They count samples of the caller's audio, which continues in silence."""

from pipeline_worker.turns.events import CallerIdle, Input, PauseExpired, TimeExceeded
from pipeline_worker.turns.state import State
from shared.agent import AgentDefinition
from shared.audio import UPLINK_RATE, samples_in

_LONGEST_PAUSE = samples_in(3000, UPLINK_RATE)
"""The longest pause of the agent, even if the sound continues."""
_LONGEST_DECISION = samples_in(600, UPLINK_RATE)
"""How long a paused agent waits for words after the sound has ended."""


class TurnTimers:
    """The session's duration, the caller's silence and the agent's pause."""

    def __init__(self, agent: AgentDefinition, elapsed_s: float = 0.0) -> None:
        """`elapsed_s` of the session's time have passed."""
        self._time_left = max(1, round((agent.limits.max_duration_s - elapsed_s) * UPLINK_RATE))
        idle_s = agent.idle.prompt_after_s
        self._idle_after = round(idle_s * UPLINK_RATE) if idle_s is not None else None
        self._idle = 0
        self._paused = 0
        self._undecided = 0

    def advance(self, samples: int, state: State, caller_quiet: bool) -> list[Input]:
        """`samples` have passed in this state. `caller_quiet`: no utterance is open."""
        inputs: list[Input] = []
        self._idle = self._idle + samples if state is State.LISTENING and caller_quiet else 0
        self._paused = self._paused + samples if state is State.PAUSED else 0
        self._undecided = self._undecided + samples if state is State.PAUSED and caller_quiet else 0
        if self._paused >= _LONGEST_PAUSE or self._undecided >= _LONGEST_DECISION:
            self._paused = self._undecided = 0
            inputs.append(PauseExpired())
        if self._idle_after is not None and self._idle >= self._idle_after:
            self._idle = 0
            inputs.append(CallerIdle())
        if self._time_left > 0:
            self._time_left -= samples
            if self._time_left <= 0:
                inputs.append(TimeExceeded())
        return inputs
