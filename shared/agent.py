"""An agent as its YAML file describes it. The files are read by `io.agent_files`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.agent_tools import Tool, ToolRules

AgentId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineChoice(_Section):
    """Which engine serves, by its word in the catalog, and the options it takes."""

    engine: str
    options: dict[str, Any] = Field(default_factory=dict)
    first_output_s: float | None = Field(None, gt=0, le=60, description="deadline for the first output")
    fallback: "EngineChoice | None" = Field(None, description="serves when this one fails or is late")


class Greeting(_Section):
    text: str = Field(min_length=1, max_length=500)
    interruptible: bool = True


class TurnTaking(_Section):
    """When the caller has finished, and when a sound of theirs takes the floor."""

    endpointing_ms: int = Field(500, ge=100, le=5000, description="silence after which an utterance is over")
    barge_in: bool = True
    barge_in_ms: int = Field(200, ge=0, le=2000, description="speech it takes to interrupt the agent")


class Limits(_Section):
    max_duration_s: int = Field(3600, ge=10, le=86_400)


class AgentDefinition(_Section):
    """The whole file. `mode: echo` plays the caller's own voice back and needs no engines."""

    id: AgentId
    name: str = Field(min_length=1, max_length=80)
    description: str = Field("", max_length=400)
    mode: Literal["conversation", "echo"] = "conversation"
    pool: str = Field("default", pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    listed: bool = Field(True, description="whether /api/agents and errors may name this agent")
    language: str = "en"
    instructions: str = Field("", max_length=50_000, description="what a language model is told about its part")
    greeting: Greeting | None = None
    speech_to_text: EngineChoice = EngineChoice(engine="pocketsphinx")
    language_model: EngineChoice = EngineChoice(engine="scripted")
    text_to_speech: EngineChoice = EngineChoice(engine="espeak-ng")
    turn_taking: TurnTaking = TurnTaking()
    tools: tuple[Tool, ...] = Field((), max_length=64)
    tool_use: ToolRules = ToolRules()
    limits: Limits = Limits()

    @field_validator("tools")
    @classmethod
    def _tools_have_names_of_their_own(cls, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        names = [tool.name for tool in tools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two tools are named '{name}': give each a name of its own")
        return tools
