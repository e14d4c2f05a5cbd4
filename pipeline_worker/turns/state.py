"""The floor of one session: who has it, what is still to be decided, and how it passes from one to the other.

`turn_steps` says what each input does to it.
"""

from enum import StrEnum

from pipeline_worker.turns.backchannels import BargeInWords, expected
from pipeline_worker.turns.events import (
    Action,
    DiscardReply,
    EndSession,
    PauseSpeaking,
    PublishStatus,
    ResumeSpeaking,
    Say,
    StartReply,
)
from shared.agent import AgentDefinition
from shared.audio import UPLINK_RATE, samples_in
from shared.errors import AntiphonError
from shared.events import StatusWord


class State(StrEnum):
    WAITING = "waiting"
    LISTENING = "listening"
    TRANSCRIBING = "transcribing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    ENDED = "ended"


_STATUS: dict[State, StatusWord] = {
    State.LISTENING: "listening",
    State.TRANSCRIBING: "thinking",
    State.THINKING: "thinking",
    State.SPEAKING: "speaking",
    State.PAUSED: "speaking",
    State.INTERRUPTED: "listening",
}


class IllegalInput(AntiphonError):
    """This cannot happen now. Nothing was changed."""

    code = "illegal_input"


class Floor:
    def __init__(self, agent: AgentDefinition) -> None:
        taking = agent.turn_taking
        backchannels = expected(agent)
        self.state = State.WAITING
        self._agent = agent
        self._words = BargeInWords(backchannels, taking.barge_in_words)
        self._words_decide = bool(backchannels) or taking.barge_in_words > 0
        self._echo_guard = samples_in(taking.echo_guard_ms, UPLINK_RATE)
        self._interruptible = taking.barge_in
        self._status: StatusWord | None = None
        # The caller
        self._open = False
        """An utterance goes on."""
        self._utterance = 0
        """Its number, or that of the last one."""
        self._sustained = False
        """It is more than a cough."""
        self._interim = ""
        self._awaited: int | None = None
        """The utterance whose final text leads to a reply."""
        self._awaited_sustained = False
        """It was more than a cough."""
        self._unanswered = False
        """Words were recorded for which no reply has begun, or one that was not heard."""
        self._weighed: frozenset[int] = frozenset()
        """Utterances whose final texts tell whether the agent goes on."""
        self._held: list[str] = []
        """What the caller said over the agent, until its turn is over."""
        # The agent
        self._prepared: str | None = None
        """The caller's words that the prepared reply answers."""
        self._playout_began: int | None = None
        self._speech_complete = False
        self._prompts_said = 0
        self._farewell_said = False
        self._end_reason: str | None = None
        """Why the session ends after the agent's turn."""

    def _may_be_echo(self, at_sample: int) -> bool:
        """The first moments of a turn, before an echo canceller has found its echo."""
        return self._playout_began is not None and 0 <= at_sample - self._playout_began < self._echo_guard

    def _listen(self, held: bool = False) -> list[Action]:
        """The agent has given the floor up. What the caller said over it is an answer now, if it is all they say.

        `held`: some of it is known already.
        """
        self._await_weighed()
        if self._open and self._sustained:
            self._awaited = None  # a part of what is being said
        elif self._awaited is not None:
            return self._enter(State.TRANSCRIBING)
        elif held:
            return self._reply()
        return self._enter(State.LISTENING)

    def _await_weighed(self) -> None:
        """Texts come in the order of their utterances: the last one is waited for."""
        if self._weighed:
            self._awaited, self._awaited_sustained = max(self._weighed), True
            self._weighed = frozenset()

    def _pause(self) -> list[Action]:
        return [*self._enter(State.PAUSED), PauseSpeaking()]

    def _resume(self) -> list[Action]:
        return [*self._enter(State.SPEAKING), ResumeSpeaking()]

    def _discard(self) -> list[Action]:
        prepared, self._prepared = self._prepared, None
        return [DiscardReply()] if prepared is not None else []

    def _reply(self) -> list[Action]:
        self._awaited = None
        self._speech_complete = self._unanswered = False
        return [*self._enter(State.THINKING), StartReply()]

    def _say(self, text: str, interruptible: bool = True) -> list[Action]:
        self._speech_complete = False
        self._playout_began = None
        self._interruptible = self._agent.turn_taking.barge_in and interruptible
        return [*self._enter(State.SPEAKING), Say(text)]

    def _close(self, reason: str) -> list[Action]:
        """The session is over; first its farewell, if it has one."""
        farewells = {"max_duration": self._agent.limits.farewell, "user_idle": self._agent.idle.farewell}
        farewell = farewells.get(reason)
        if not farewell or self._farewell_said:
            return self._end(reason)
        self._farewell_said = True
        self._end_reason = reason
        return self._say(farewell, interruptible=reason == "user_idle")

    def _end(self, reason: str) -> list[Action]:
        self.state = State.ENDED
        return [EndSession(reason)]

    def _enter(self, state: State) -> list[Action]:
        self.state = state
        status = _STATUS[state]
        if status == self._status:
            return []
        self._status = status
        return [PublishStatus(status)]
