"""What a scenario expects, as its YAML file describes it.

An expectation is a mapping with one verb (`transcript: ...`) and an optional `within`. A verb without arguments may
stand alone (`reply`).
"""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from callers.voice import Pitch, Rate, Voice, VoiceName
from shared.events import StatusWord

_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s)")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def _seconds(value: Any) -> float:
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a time with its unit: 300ms or 1.2s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


Seconds = Annotated[float, BeforeValidator(_seconds), Field(le=600)]


class Part(BaseModel):
    """A piece of a scenario file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Verbal(Part):
    """A mapping that is known by its verb. The verb is the name of the class."""

    @classmethod
    def verb(cls) -> str:
        return _CAPITAL.sub("_", cls.__name__).lower()


def spread(value: Any) -> Any:
    """Turns a verb that stands alone into a mapping."""
    return {value: True} if isinstance(value, str) else value


def one_of(what: str, union: Any) -> Discriminator:
    """Picks the member of a tagged union by its verb. Its error lists the verbs if a mapping has none or two."""
    verbs = [get_args(member)[0].verb() for member in get_args(union)]

    def find(value: Any) -> str | None:
        if isinstance(value, Verbal):
            return value.verb()
        found = [verb for verb in verbs if isinstance(value, dict) and verb in value]
        return found[0] if len(found) == 1 else None

    return Discriminator(
        find,
        custom_error_type="verb",
        custom_error_message=f"{what} has exactly one of these words: {', '.join(verbs)}",
    )


class _Expectation(Verbal):
    within: Seconds | None = Field(None, description="how long to wait for it; else the scenario's patience")

    @property
    def limit_s(self) -> float | None:
        """The time limit that the verb states, if it states one."""
        limit = getattr(self, self.verb())
        return limit if isinstance(limit, float) else None

    def describe(self) -> str:
        """As the file might state it."""
        value = getattr(self, self.verb())
        if isinstance(value, Part):
            stated = value.model_dump(exclude_none=True, exclude_defaults=True)
            return f"{self.verb()} {stated}"
        if value is True:
            return self.verb()
        return f"{self.verb()} {value:g} s" if self.limit_s else f"{self.verb()} {value}"


class TranscriptMatch(Part):
    """Final words of one role. The words of several transcripts count together."""

    role: Literal["user", "agent"]
    contains: str | None = Field(None, min_length=1, description="these words side by side")
    matches: str | None = Field(None, min_length=1, description="these words in this order, with or without others")
    interrupted: bool | None = None


class EventMatch(Part):
    """An event with at least these fields."""

    type: str
    fields: dict[str, Any] = {}


class ToolCallMatch(Part):
    """A call of a tool by the agent, with at least these arguments."""

    name: str
    arguments: dict[str, Any] = {}


class SpokenText(Part):
    """A text that an agent with an embedded voice says. The defaults are those of agent files."""

    text: str = Field(min_length=1)
    voice: VoiceName = "en-us"
    rate: Rate = 165
    pitch: Pitch = 50

    @property
    def spoken_by(self) -> Voice:
        return Voice(voice=self.voice, rate=self.rate, pitch=self.pitch)


class Transcript(_Expectation):
    transcript: TranscriptMatch


class NoTranscript(_Expectation):
    no_transcript: TranscriptMatch


class Event(_Expectation):
    event: EventMatch


class NoEvent(_Expectation):
    no_event: EventMatch


class ToolCall(_Expectation):
    tool_call: ToolCallMatch


class Status(_Expectation):
    """The status is this now."""

    status: StatusWord


class Ended(_Expectation):
    """The call is over, for this reason."""

    ended: str


class Reply(_Expectation):
    """The agent has finished saying something and is silent."""

    reply: Literal[True]


class AudibleFor(_Expectation):
    """The agent is speaking and was heard for this long."""

    audible_for: Seconds


class SilentFor(_Expectation):
    """The agent has not been heard for this long."""

    silent_for: Seconds


class FirstAudioWithin(_Expectation):
    """From the end of the caller's sound to the agent's first."""

    first_audio_within: Seconds


class AgentSilentWithin(_Expectation):
    """From the onset of the caller's sound to the agent's last."""

    agent_silent_within: Seconds


class AgentResumesWithin(_Expectation):
    """From the end of the caller's sound until the agent is heard (again)."""

    agent_resumes_within: Seconds


class NoWordsLost(_Expectation):
    """The sound of this text was heard completely and once, with or without pauses in it."""

    no_words_lost: SpokenText


_Tagged = (
    Annotated[Transcript, Tag("transcript")]
    | Annotated[NoTranscript, Tag("no_transcript")]
    | Annotated[Event, Tag("event")]
    | Annotated[NoEvent, Tag("no_event")]
    | Annotated[ToolCall, Tag("tool_call")]
    | Annotated[Status, Tag("status")]
    | Annotated[Ended, Tag("ended")]
    | Annotated[Reply, Tag("reply")]
    | Annotated[AudibleFor, Tag("audible_for")]
    | Annotated[SilentFor, Tag("silent_for")]
    | Annotated[FirstAudioWithin, Tag("first_audio_within")]
    | Annotated[AgentSilentWithin, Tag("agent_silent_within")]
    | Annotated[AgentResumesWithin, Tag("agent_resumes_within")]
    | Annotated[NoWordsLost, Tag("no_words_lost")]
)
Expectation = Annotated[_Tagged, one_of("an expectation", _Tagged), BeforeValidator(spread)]
