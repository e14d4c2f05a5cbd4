"""A scenario as its YAML file describes it: the caller's steps, and what is expected.

A step is a mapping with one verb (`say: ...`) and optional fields. A verb without arguments may stand alone
(`hang_up`).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Tag

from callers.noise import NoiseKind
from callers.scenario.expectation import Expectation, Part, Seconds, Verbal, one_of, spread
from callers.voice import Level, Pitch, Rate, Voice, VoiceName
from shared.agent import AgentId


class _Step(Verbal):
    expect: tuple[Expectation, ...] = ()


class _Spoken(_Step):
    voice: VoiceName | None = None
    rate: Rate | None = None
    pitch: Pitch | None = None
    level_db: Level | None = None

    def voice_after(self, usual: Voice) -> Voice:
        """`usual` with the changes of this step."""
        own = self.model_dump(include=set(Voice.model_fields), exclude_none=True)
        return Voice.model_validate(usual.model_dump() | own)


class Say(_Spoken):
    """Ends when it is spoken."""

    say: str = Field(min_length=1)

    @property
    def text(self) -> str:
        return self.say


class BargeInPart(Part):
    after: Seconds
    say: str = Field(min_length=1)


class BargeIn(_Spoken):
    """Speak once the agent was heard for `after`."""

    barge_in: BargeInPart

    @property
    def text(self) -> str:
        return self.barge_in.say

    @property
    def after(self) -> float:
        return self.barge_in.after


class Backchannel(_Spoken):
    """A sound of agreement, once the agent was heard for `after`."""

    backchannel: str = Field(min_length=1)
    after: Seconds = 1.0

    @property
    def text(self) -> str:
        return self.backchannel


class NoisePart(Part):
    kind: NoiseKind
    duration: Seconds
    level_db: Level = -30.0


class Noise(_Step):
    """With `after`: once the agent was heard for this long. With `background`, the next steps run at the same time."""

    noise: NoisePart
    after: Seconds | None = None
    background: bool = False


class Type(_Step):
    type: str = Field(min_length=1, max_length=2000)


class Pause(_Step):
    pause: Seconds


class WaitFor(_Step):
    wait_for: Expectation


class Mute(_Step):
    mute: bool


class Press(_Step):
    """The push-to-talk button."""

    press: Literal[True]


class Release(_Step):
    release: Literal[True]


class Interrupt(_Step):
    """The button that stops the agent."""

    interrupt: Literal[True]


class HangUp(_Step):
    hang_up: Literal[True]


_Tagged = (
    Annotated[Say, Tag("say")]
    | Annotated[BargeIn, Tag("barge_in")]
    | Annotated[Backchannel, Tag("backchannel")]
    | Annotated[Noise, Tag("noise")]
    | Annotated[Type, Tag("type")]
    | Annotated[Pause, Tag("pause")]
    | Annotated[WaitFor, Tag("wait_for")]
    | Annotated[Mute, Tag("mute")]
    | Annotated[Press, Tag("press")]
    | Annotated[Release, Tag("release")]
    | Annotated[Interrupt, Tag("interrupt")]
    | Annotated[HangUp, Tag("hang_up")]
)
Step = Annotated[_Tagged, one_of("a step", _Tagged), BeforeValidator(spread)]


class Scenario(Part):
    """One call. `agents_dir` and `environment` are for the embedded stack only."""

    name: str = Field(min_length=1, max_length=120)
    agent: AgentId
    voice: Voice = Voice()
    patience: Seconds = Field(20.0, description="how long to wait for each expectation")
    agents_dir: Path | None = Field(None, description="folder of agent files; relative to the scenario's own")
    environment: dict[str, str] = Field({}, description="settings of the services")
    steps: tuple[Step, ...] = Field(min_length=1, max_length=200)
    expect: tuple[Expectation, ...] = Field((), description="for the whole call, checked after the last step")
