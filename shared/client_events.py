"""What clients are told in a session: the fields of each event, beside `type` and `seq` (`shared.events.client_event`).

The types of the browser's client are made from these (`python -m tests.architecture.client_types`).
"""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic reads the one of `typing` only from Python 3.12 on

from shared.events import StatusWord

Role = Literal["user", "agent"]

_documented = with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))


@_documented
class TranscriptEvent(TypedDict):
    """Final words; for the agent, those that were heard."""

    role: Role
    text: str
    interrupted: NotRequired[bool]
    """The agent was."""


@_documented
class TranscriptPartialEvent(TypedDict):
    """Interim words, which the next partial or final transcript of the same role replaces."""

    role: Role
    text: str


@_documented
class StatusEvent(TypedDict):
    status: StatusWord
    reason: NotRequired[str]
    """With `ended`."""


@_documented
class GoawayEvent(TypedDict):
    """The media worker stops. A session that still runs after the time ends."""

    timeLeftMs: int
    scope: Literal["media"]
    reason: str


@_documented
class StayEvent(TypedDict):
    """Takes a `goaway` back. A client that has not moved its session stays."""

    scope: Literal["media"]


@_documented
class ErrorEvent(TypedDict):
    """Something failed, or what the client sent on the data channel was refused."""

    code: str
    message: str


@_documented
class MetricsEvent(TypedDict):
    """How long the stages of the agent's turn took, in whole milliseconds. Stages that did not happen are left out."""

    turn: int
    """From 1."""
    interrupted: bool
    falseInterruptions: int
    resumed: int
    speculativeHit: bool
    endpointMs: NotRequired[int]
    sttFinalMs: NotRequired[int]
    llmFirstTokenMs: NotRequired[int]
    ttsFirstAudioMs: NotRequired[int]
    firstPacketMs: NotRequired[int]
    firstAudioMs: NotRequired[int]
    """All stages together: from the end of the caller's speech to the first packet of the answer."""


@_documented
class ToolCallEvent(TypedDict):
    id: str
    name: str
    arguments: NotRequired[dict[str, Any]]
    """Only if the agent has `tool_use.visible` and they are short."""


@_documented
class ToolResultEvent(TypedDict):
    """The tool has ended, or was stopped with its turn."""

    id: str
    """That of the call."""
    name: str
    ok: bool
    durationMs: int


@_documented
class TransferEvent(TypedDict):
    """The client should connect the caller to `uri`, then end this session."""

    destination: str
    uri: str
    reason: str
    """May be empty."""


CLIENT_EVENTS: Mapping[str, type] = {
    "transcript": TranscriptEvent,
    "transcript-partial": TranscriptPartialEvent,
    "status": StatusEvent,
    "goaway": GoawayEvent,
    "stay": StayEvent,
    "error": ErrorEvent,
    "metrics": MetricsEvent,
    "tool-call": ToolCallEvent,
    "tool-result": ToolResultEvent,
    "transfer": TransferEvent,
}
