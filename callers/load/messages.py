"""What a leader and its helpers tell each other: a JSON object each, in a frame of `link`.

A helper says `Hello` and is told to `Prepare`, and then which `Level` to bring about. Once a second it says in a `Tick`
what has happened. It measures from `Measure` on. When it is asked to `Report`, it says what it has `Measured`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from callers.load.tally import Tally

VERSION = 1


class Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class SetUpTimes(Message):
    """The stages of one set-up, in milliseconds."""

    connect: float
    """TCP, TLS and the WebSocket's handshake."""
    place: float
    """From the offer's departure to its answer."""
    sdp: float
    """The caller's own work on offer and answer, with the gathering of candidates."""
    ice: float
    dtls: float
    first_audio: float | None = None
    """From the end of DTLS to the first packet with sound; None if none came in time."""

    @property
    def total(self) -> float:
        """Until sound can flow."""
        return self.connect + self.place + self.sdp + self.ice + self.dtls


class Impaired(Message):
    """Shares, and milliseconds."""

    loss: float = 0.0
    jitter_ms: float = 0.0
    delay_ms: float = 0.0


class Hello(Message):
    type: Literal["hello"] = "hello"
    host: str
    version: int = VERSION


class Prepare(Message):
    """What all callers have in common."""

    type: Literal["prepare"] = "prepare"
    url: str
    agent: str
    api_key: str = ""
    tokens: list[str] = []
    """One for each of the first callers."""
    packets: list[str] = []
    """Opus packets of the marked sound, in base64."""
    impaired: Impaired = Impaired()
    scripts: list[str] = []
    """Scenarios for conversations, each as JSON. With any, callers hold these."""
    first_index: int = 0


class Level(Message):
    """How many callers there should be, and how many arrive in a second: 0 if all at once."""

    type: Literal["level"] = "level"
    callers: int
    per_s: float
    call_s: float = 0.0
    """How long a call lasts before another one replaces it; 0: until the end."""


class Measure(Message):
    type: Literal["measure"] = "measure"


class Report(Message):
    type: Literal["report"] = "report"


class Stop(Message):
    type: Literal["stop"] = "stop"


class Alive(Message):
    """The leader is there, though it has nothing to say for minutes."""

    type: Literal["alive"] = "alive"


class Tick(Message):
    """What has happened in the last second."""

    type: Literal["tick"] = "tick"
    wanted: int
    connected: int
    settled: bool
    """Everyone who is wanted has connected or given up."""
    tally: Tally
    reasons: dict[str, str] = {}
    """For people, by the code of the error."""
    core_share: float = 0.0
    """Of the core that this process can use."""


class Measured(Message):
    """Set-ups, moves and errors since `Level`, the rest since `Measure`."""

    type: Literal["measured"] = "measured"
    seconds: float
    connected: int
    tally: Tally
    core_share: float = 0.0
    host_busy_percent: float = 0.0


ToHelper = Prepare | Level | Measure | Report | Stop | Alive
ToLeader = Hello | Tick | Measured
to_helper: TypeAdapter[ToHelper] = TypeAdapter(Annotated[ToHelper, Field(discriminator="type")])
to_leader: TypeAdapter[ToLeader] = TypeAdapter(Annotated[ToLeader, Field(discriminator="type")])
