"""Usual inputs and actions of turn taking, and the inputs that lead to each state."""

from collections.abc import Sequence

from pipeline_worker.turns.events import (
    Action,
    CallerConnected,
    CallerIdle,
    EndLikely,
    EndSession,
    FinalText,
    Input,
    InterimText,
    PauseExpired,
    PlayoutBegan,
    PlayoutFinished,
    PlayoutFlushed,
    PublishStatus,
    RecordCaller,
    ReplyFinished,
    Say,
    SpeechBegan,
    SpeechProlonged,
    SpeechSustained,
    StopPressed,
    TakenOver,
    TextTyped,
    TimeExceeded,
    UtteranceEnded,
    UtteranceResumed,
    UtteranceStarted,
)
from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TurnTaking
from shared.agent import AgentDefinition, Greeting, Idle, Limits

AGENT = AgentDefinition(id="a", name="A")
GREETING = Greeting(text="Hello.")

BEGAN = UtteranceStarted(1, 3000)
SUSTAINED, PROLONGED = SpeechSustained(4000), SpeechProlonged(9000)
LIKELY, RESUMED = EndLikely(1, "what time is it"), UtteranceResumed(1)
ENDED = UtteranceEnded(1, 8000)
INTERIM = InterimText(1, "what time")
FINAL = FinalText(1, "what time is it")
TYPED = TextTyped("hello")

INPUTS: tuple[Input, ...] = (
    CallerConnected(),
    TakenOver(began=True),
    BEGAN,
    SUSTAINED,
    PROLONGED,
    INTERIM,
    LIKELY,
    RESUMED,
    ENDED,
    FINAL,
    TYPED,
    StopPressed(),
    SpeechBegan(),
    PlayoutBegan(2000),
    ReplyFinished(),
    PlayoutFinished(),
    PlayoutFlushed(),
    PauseExpired(),
    CallerIdle(),
    TimeExceeded(),
)

INPUTS_TO: dict[State, Sequence[Input]] = {
    State.WAITING: [],
    State.LISTENING: [CallerConnected()],
    State.TRANSCRIBING: [CallerConnected(), ENDED],
    State.THINKING: [CallerConnected(), ENDED, FINAL],
    State.SPEAKING: [CallerConnected(), ENDED, FINAL, SpeechBegan()],
    State.PAUSED: [CallerConnected(), ENDED, FINAL, SpeechBegan(), BEGAN],
    State.INTERRUPTED: [CallerConnected(), ENDED, FINAL, SpeechBegan(), StopPressed()],
    State.ENDED: [TimeExceeded()],
}

LISTENING, THINKING, SPEAKING = PublishStatus("listening"), PublishStatus("thinking"), PublishStatus("speaking")
SAID, TYPED_WORDS = RecordCaller("what time is it"), RecordCaller("hello")
OVER = EndSession("max_duration")
PROMPT = Say("Are you still there?")


def turns_in(state: State, agent: AgentDefinition = AGENT) -> TurnTaking:
    turns = TurnTaking(agent)
    for event in INPUTS_TO[state]:
        turns.handle(event)
    assert turns.state is state
    return turns


def play(turns: TurnTaking, *inputs: Input) -> list[Action]:
    return [action for event in inputs for action in turns.handle(event)]


def agent_with(**turn_taking: object) -> AgentDefinition:
    return AGENT.model_copy(update={"turn_taking": AGENT.turn_taking.model_copy(update=turn_taking)})


def finish_turn(turns: TurnTaking) -> list[Action]:
    """The agent says what it has to say, and the caller hears all of it."""
    return play(turns, SpeechBegan(), ReplyFinished(), PlayoutFinished())


FAREWELLS = AGENT.model_copy(
    update={
        "limits": Limits(farewell="Our time is over."),
        "idle": Idle(prompt_after_s=10, prompts=("Hello?", "Still there?"), farewell="Goodbye."),
    }
)
