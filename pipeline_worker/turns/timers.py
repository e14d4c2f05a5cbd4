"""What the passing of time means for the floor. Time is the caller's audio, which goes on in silence."""

from pipeline_worker.turns.events import CallerIdle, Input, PauseExpired, TimeExceeded
from pipeline_worker.turns.state import State
from shared.agent import AgentDefinition
from shared.audio import UPLINK_RATE, samples_in

_LONGEST_PAUSE = samples_in(3000, UPLINK_RATE)
"""An agent that fell silent for a sound goes on by then, whatever the sound is."""
_LONGEST_VERDICT = samples_in(600, UPLINK_RATE)
"""How long an agent that fell silent waits, once the sound has ended, to be told what it was."""


class FloorClock:
    """Three timers: the session's duration, the caller's silence, the agent's pause."""

    def __init__(self, agent: AgentDefinition) -> None:
        self._time_left = agent.limits.max_duration_s * UPLINK_RATE
        idle_s = agent.idle.prompt_after_s
        self._idle_after = round(idle_s * UPLINK_RATE) if idle_s is not None else None
        self._idle = 0
        self._paused = 0
        self._undecided = 0

    def advance(self, samples: int, state: State, caller_quiet: bool) -> list[Input]:
        """So many samples passed in this state. `caller_quiet`: no utterance is open."""
        inputs: list[Input] = []
        self._idle = self._idle + samples if state is State.LISTENING and caller_quiet else 0
        self._paused = self._paused + samples if state is State.PAUSED else 0
        self._undecided = self._undecided + samples if state is State.PAUSED and caller_quiet else 0
        if self._paused >= _LONGEST_PAUSE or self._undecided >= _LONGEST_VERDICT:
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
