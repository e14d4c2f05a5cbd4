"""The report of `antiphon load`. Units are in the names. What was not measured is absent (None), never 0.

A report of a newer `version` is refused; within a version, fields are only added, and have defaults.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from callers.load.sketch import Sketch

Share = Annotated[float, Field(ge=0)]
"""Of one core: 1 is a whole core, 2 are two."""
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Role = str
"""`gateway`, `media_worker`, `pipeline_worker`, `broker`, or what else the target runs."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spread(Part):
    """How a figure is distributed. Percentiles are within 1 %."""

    count: Count
    mean: float
    lowest: float
    p05: float
    p50: float
    p95: float
    p99: float
    highest: float

    @classmethod
    def of(cls, sketch: Sketch | None) -> Self | None:
        """None if nothing was measured."""
        if sketch is None or sketch.lowest is None or sketch.highest is None:
            return None
        p05, p50, p95, p99 = (sketch.percentile(percent) for percent in (5, 50, 95, 99))
        return cls(
            count=sketch.count,
            mean=sketch.sum / sketch.count,
            lowest=sketch.lowest,
            p05=p05,
            p50=p50,
            p95=p95,
            p99=p99,
            highest=sketch.highest,
        )


Percentile = Literal["p05", "p50", "p95", "p99"]


def percentile(spread: Spread | None, which: Percentile) -> float | None:
    """None if nothing was measured."""
    if spread is None:
        return None
    return {"p05": spread.p05, "p50": spread.p50, "p95": spread.p95, "p99": spread.p99}[which]


class SetUp(Part):
    """How long it takes until a caller can talk, and its parts, in order."""

    total_ms: Spread | None = Field(None, description="from the connection to DTLS, without the first audio")
    connect_ms: Spread | None = Field(None, description="TCP, TLS and the WebSocket's upgrade")
    place_ms: Spread | None = Field(None, description="from the offer to its answer: a worker is found, and answers")
    sdp_ms: Spread | None = Field(None, description="the caller's own work on offer and answer")
    ice_ms: Spread | None = Field(None, description="from the answer until a pair of addresses was validated")
    dtls_ms: Spread | None = Field(None, description="until the keys were agreed on")
    first_audio_ms: Spread | None = Field(None, description="from DTLS to the first sample that the caller heard")


class Audio(Part):
    """What callers heard."""

    first_audio_ms: Spread | None = Field(
        None, description="from the end of a caller's turn to the agent's first sample"
    )
    barge_in_stop_ms: Spread | None = Field(None, description="from the caller's first sample to the agent's silence")
    mouth_to_ear_ms: Spread | None = Field(None, description="caller's mouth, echo agent, caller's ear; no buffer")
    jitter_ms: Spread | None = Field(None, description="interarrival jitter, RFC 3550 §6.4.1, one value per call")
    packet_lateness_ms: Spread | None = Field(None, description="of the agent's packets, behind their own schedule")
    move_silence_ms: Spread | None = Field(
        None, description="from the last packet of one peer connection to the first of the next, less a packet's length"
    )
    loss_percent: Percent | None = None
    burst_ratio: Annotated[float, Field(ge=0)] | None = Field(None, description="1 for random loss, ITU-T G.107 §7.5")
    concealed_percent: Percent | None = None
    mos: Spread | None = Field(None, description="by the E-model, one value per call")


class CallerLoad(Part):
    """Whether the callers themselves were the limit."""

    processes: Count
    cores: Share = Field(description="that all of them used")
    busiest_core_share: Share
    lateness_ms: Spread | None = Field(None, description="of their own clock")
    host_busy_percent: Percent | None = Field(None, description="all cores of the busiest host, by all its processes")


class RoleLoad(Part):
    """The processes of one service, together."""

    processes: Count
    cores: Share
    busiest_core_share: Share = Field(description="of the process that used most")
    memory_mb: Annotated[float, Field(ge=0)] | None = None
    loop_lag_ms: Annotated[float, Field(ge=0)] | None = Field(None, description="of the process that was latest")


class ServerLoad(Part):
    """Averages over the time that they stand for."""

    roles: dict[Role, RoleLoad] = {}
    hop_p99_ms: Annotated[float, Field(ge=0)] | None = Field(None, description="through the broker")
    broker_operations_per_s: Annotated[float, Field(ge=0)] | None = None


Errors = dict[str, Count]
"""How many, by machine code. Codes of callers who were connected and lost their session begin with `cut_`."""


class Stage(Part):
    """One level of load."""

    began_s: float = Field(ge=0, description="since the run began")
    duration_s: float = Field(ge=0)
    callers_wanted: Count
    callers_connected: Count = Field(description="who hear the server at the end of the level")
    attempts: Count = Field(description="set-ups that were tried")
    retries: Count = Field(0, description="set-ups tried again, when the server had said when to come back")
    moves: Count = Field(0, description="of sessions, to another peer connection, perhaps at another media worker")
    set_up: SetUp = SetUp()
    audio: Audio = Audio()
    errors: Errors = {}
    callers: CallerLoad
    server: ServerLoad | None = Field(None, description="absent if the target's metrics cannot be read")

    @property
    def error_count(self) -> int:
        return sum(self.errors.values())

    @property
    def error_percent(self) -> float:
        """Of the set-ups, or of the callers if they are more: a call may also fail later."""
        return 100 * self.error_count / max(1, self.attempts, self.callers_wanted)

    @property
    def core_percent_per_caller(self) -> float | None:
        """Of one core, by all roles of the server."""
        if self.server is None or not self.server.roles or not self.callers_connected:
            return None
        return 100 * sum(load.cores for load in self.server.roles.values()) / self.callers_connected


class Point(Part):
    """One second of the run; of a long run, the worst of some seconds."""

    at_s: float = Field(ge=0, description="since the run began")
    callers_wanted: Count
    callers_connected: Count
    set_up_p50_ms: float | None = None
    set_up_p95_ms: float | None = None
    mouth_to_ear_p50_ms: float | None = None
    mouth_to_ear_p95_ms: float | None = None
    loss_percent: Percent | None = None
    caller_lateness_p95_ms: float | None = None
    callers_busiest_core_share: Share | None = None
    moves: Count = 0
    errors: Errors = {}
    server: ServerLoad | None = None


Signal = Literal["set_up", "lateness", "errors", "loss", "callers_missing"]
Resource = Literal["role", "broker", "capacity", "callers", "host", "unknown"]
"""`capacity`: the server refused callers, by its own count. `host`: the cores that callers and others share."""


class Knee(Part):
    """Where the server was saturated."""

    callers: Count = Field(description="of the highest level that was good; 0 if none was")
    bad_callers: Count = Field(description="of the lowest level that was not")
    signal: Signal
    value: float = Field(description="of the signal at `bad_callers`, in its unit")
    bound: float = Field(description="that it exceeded, or for `callers_missing` fell below")
    resource: Resource
    role: Role | None = Field(None, description="whose process it was, if the resource is a role")
    reason: str = Field(description="one sentence for people")


class Environment(Part):
    """Where the callers ran."""

    hosts: list[str] = []
    processes: Count = 1
    version: str = ""


class LoadReport(Part):
    version: Literal[1] = 1
    target_url: str
    agent: str
    scenario: str
    parameters: dict[str, str | int | float | bool | None] = {}
    began: str = Field(description="UTC, ISO 8601")
    duration_s: float = Field(ge=0)
    environment: Environment = Environment()
    stages: list[Stage] = []
    series: list[Point] = []
    knee: Knee | None = None
    callers_were_the_limit: bool = False

    def to_json(self) -> str:
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises pydantic's `ValidationError`."""
        return cls.model_validate_json(text)
