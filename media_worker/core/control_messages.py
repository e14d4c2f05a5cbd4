"""What a caller may send on the data channel `control`. Untrusted: bad input raises `PeerError`, nothing else."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from shared.errors import PeerError
from shared.events import InterruptRequested, Message, MuteChanged, TalkChanged, TextReceived
from shared.validation_errors import first_problem

MAX_MESSAGE_BYTES = 16_384
MAX_TEXT = 2_000


class _Control(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Text(_Control):
    """Typed instead of spoken."""

    type: Literal["text"]
    text: str = Field(min_length=1, max_length=MAX_TEXT)


class Interrupt(_Control):
    type: Literal["interrupt"]


class Mute(_Control):
    type: Literal["mute"]
    muted: bool = True


class Talk(_Control):
    """The push-to-talk button."""

    type: Literal["talk"]
    pressed: bool


class Ping(_Control):
    """Answered by `pong` with the same `id`."""

    type: Literal["ping"]
    id: int | FiniteFloat | Annotated[str, Field(max_length=64)] | None = None


ControlMessage = Text | Interrupt | Talk | Mute | Ping
_KNOWN = {"text", "interrupt", "talk", "mute", "ping"}
_adapter: TypeAdapter[ControlMessage] = TypeAdapter(Annotated[ControlMessage, Field(discriminator="type")])


def parse_control(message: str) -> ControlMessage | None:
    """Read one message; None for an unknown type. Raises `PeerError` with a code."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise PeerError(f"a control message has at most {MAX_MESSAGE_BYTES} characters", code="message_too_large")
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise PeerError("not JSON", code="bad_json") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise PeerError("a control message is an object with a type", code="bad_message")
    # The specification's server nests fields under `data`; a client may do the same.
    if isinstance(fields.get("data"), dict):
        fields = {**fields["data"], **fields}
    if fields["type"] not in _KNOWN:
        return None
    try:
        return _adapter.validate_python(fields)
    except ValidationError as error:
        raise PeerError(first_problem(error), code="bad_message") from error


def for_pipeline(session: str, control: ControlMessage) -> Message | None:
    """The pipeline worker's message for a control message; None if it concerns only the media worker."""
    match control:
        case Text(text=text):
            return TextReceived(session=session, text=text)
        case Interrupt():
            return InterruptRequested(session=session)
        case Talk(pressed=pressed):
            return TalkChanged(session=session, pressed=pressed)
        case Mute(muted=muted):
            return MuteChanged(session=session, muted=muted)
        case Ping():
            return None
