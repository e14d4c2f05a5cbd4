"""An agent as its YAML file describes it. The files are read by `io.agent_files`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from shared.agent_tools import Section, Tool, ToolRules

AgentId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class EngineChoice(Section):
    """An engine, by its name in the catalog, and its options."""

    engine: str
    options: dict[str, Any] = Field(default_factory=dict)
    first_output_s: float | None = Field(None, gt=0, le=60, description="deadline for the first output")
    fallback: "EngineChoice | None" = Field(None, description="replaces this one when it fails or is late")


class Greeting(Section):
    text: str = Field(min_length=1, max_length=500)
    interruptible: bool = True


class TurnTaking(Section):
    """When the caller has finished speaking, and when their speech interrupts the agent."""

    mode: Literal["automatic", "push_to_talk"] = "automatic"
    endpointing_ms: int = Field(500, ge=100, le=5000, description="shortest silence that ends an utterance")
    max_endpointing_ms: int = Field(1500, ge=100, le=10_000, description="the same if it sounds unfinished")
    adaptive: bool = Field(True, description="whether the caller's own pauses lengthen that silence")
    speculative: bool = Field(True, description="whether a reply is prepared before the utterance has certainly ended")
    barge_in: bool = True
    barge_in_ms: int = Field(200, ge=0, le=2000, description="speech it takes to interrupt the agent")
    barge_in_words: int = Field(0, ge=0, le=10, description="words it takes in addition; 0: speech alone is enough")
    backchannels: tuple[str, ...] | None = Field(
        None, max_length=100, description="words that do not interrupt; None: the usual ones of the agent's language"
    )
    echo_guard_ms: int = Field(
        300, ge=0, le=5000, description="after the agent begins: only speech of barge_in_ms silences it"
    )

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> Self:
        if "max_endpointing_ms" in self.model_fields_set and self.max_endpointing_ms < self.endpointing_ms:
            raise ValueError("max_endpointing_ms is less than endpointing_ms: raise it")
        return self


class Idle(Section):
    """What the agent says to a silent caller, and when."""

    prompt_after_s: float | None = Field(None, ge=1, le=3600, description="silence before a prompt; None: no prompts")
    prompts: tuple[str, ...] = Field(("Are you still there?",), max_length=10)
    farewell: str | None = Field("I cannot hear you any more. Goodbye!", max_length=500)

    @model_validator(mode="after")
    def _has_a_delay(self) -> Self:
        if self.model_fields_set and "prompt_after_s" not in self.model_fields_set:
            raise ValueError("idle needs prompt_after_s: add it, such as prompt_after_s: 10")
        return self


class Limits(Section):
    max_duration_s: int = Field(3600, ge=10, le=86_400)
    max_sessions: int | None = Field(None, ge=1, le=1_000_000, description="at once, in all; None: no limit")
    farewell: str | None = Field(None, max_length=500, description="said when the time is up")


class AgentDefinition(Section):
    """The whole file. `mode: echo` plays the caller's own voice back and needs no engines."""

    id: AgentId
    name: str = Field(min_length=1, max_length=80)
    description: str = Field("", max_length=400)
    mode: Literal["conversation", "echo"] = "conversation"
    pool: str = Field("default", pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    listed: bool = Field(True, description="whether /api/agents and errors may name this agent")
    language: str = "en"
    instructions: str = Field("", max_length=50_000, description="system prompt of the language model")
    greeting: Greeting | None = None
    speech_to_text: EngineChoice = EngineChoice(engine="moonshine")
    language_model: EngineChoice = EngineChoice(engine="scripted")
    text_to_speech: EngineChoice = EngineChoice(engine="piper")
    apology: str = Field(
        "I am sorry, something went wrong here. Could you say that again?",
        max_length=500,
        description="said when an engine fails and there is no reply; empty: nothing",
    )
    turn_taking: TurnTaking = TurnTaking()
    idle: Idle = Idle()
    tools: tuple[Tool, ...] = Field((), max_length=64)
    tool_use: ToolRules = ToolRules()
    limits: Limits = Limits()
    _file: str = PrivateAttr("")

    @property
    def place(self) -> str:
        """For messages: the agent, and its file if it comes from one."""
        return f"{self._file}: agent '{self.id}'" if self._file else f"agent '{self.id}'"

    def read_from(self, file: str) -> Self:
        self._file = file
        return self

    @field_validator("tools")
    @classmethod
    def _tool_names_are_unique(cls, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        names = [tool.name for tool in tools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two tools are named '{name}': give each its own name")
        return tools
