"""What callers measure. Tallies of processes, hosts and seconds merge into one, so no sample travels.

A process sends one each second: merged over processes it is a point of the series, merged over seconds a level's stage.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from callers.load.results import Audio, SetUp, Spread
from callers.load.sketch import Sketch

MOST_CODES = 100
OTHER = "other"

Figure = Literal[
    "set_up_ms",
    "connect_ms",
    "place_ms",
    "sdp_ms",
    "ice_ms",
    "dtls_ms",
    "set_up_first_audio_ms",
    "first_audio_ms",
    "barge_in_stop_ms",
    "mouth_to_ear_ms",
    "jitter_ms",
    "packet_lateness_ms",
    "move_silence_ms",
    "mos",
    "caller_lateness_ms",
]
"""What is sampled. `results.SetUp` and `results.Audio` say what they mean."""

_Count = Annotated[int, Field(ge=0)]


class Tally(BaseModel):
    """Errors beyond `MOST_CODES` different codes count as `other`."""

    model_config = ConfigDict(extra="forbid")

    attempts: _Count = 0
    retries: _Count = 0
    sketches: dict[Figure, Sketch] = {}
    errors: dict[str, _Count] = Field({}, max_length=MOST_CODES + 1)
    packets_expected: _Count = 0
    packets_lost: _Count = 0
    loss_bursts: _Count = Field(0, description="runs of lost packets, each of one or more")
    samples_heard: _Count = 0
    samples_concealed: _Count = 0

    def add(self, figure: Figure, value: float) -> None:
        """Raises `ValueError` if the value is not finite."""
        self.sketches.setdefault(figure, Sketch()).add(value)

    def fail(self, code: str, count: int = 1) -> None:
        if code not in self.errors and len(self.errors) >= MOST_CODES:
            code = OTHER
        self.errors[code] = self.errors.get(code, 0) + count

    def merge(self, other: "Tally") -> None:
        self.attempts += other.attempts
        self.retries += other.retries
        for figure, sketch in other.sketches.items():
            self.sketches.setdefault(figure, Sketch()).merge(sketch)
        for code, count in other.errors.items():
            self.fail(code, count)
        self.packets_expected += other.packets_expected
        self.packets_lost += other.packets_lost
        self.loss_bursts += other.loss_bursts
        self.samples_heard += other.samples_heard
        self.samples_concealed += other.samples_concealed

    def spread(self, figure: Figure) -> Spread | None:
        return Spread.of(self.sketches.get(figure))

    @property
    def moves(self) -> int:
        """Of sessions, to another peer connection."""
        sketch = self.sketches.get("move_silence_ms")
        return 0 if sketch is None else sketch.count

    @property
    def loss_percent(self) -> float | None:
        return _percent(self.packets_lost, self.packets_expected)

    @property
    def burst_ratio(self) -> float | None:
        """Mean length of a burst, over that of random loss at this rate: 1 / (1 - loss) (ITU-T G.107 §7.5)."""
        if not self.loss_bursts or self.packets_lost >= self.packets_expected:
            return None
        return self.packets_lost / self.loss_bursts * (1 - self.packets_lost / self.packets_expected)

    @property
    def set_up(self) -> SetUp:
        return SetUp(
            total_ms=self.spread("set_up_ms"),
            connect_ms=self.spread("connect_ms"),
            place_ms=self.spread("place_ms"),
            sdp_ms=self.spread("sdp_ms"),
            ice_ms=self.spread("ice_ms"),
            dtls_ms=self.spread("dtls_ms"),
            first_audio_ms=self.spread("set_up_first_audio_ms"),
        )

    @property
    def audio(self) -> Audio:
        return Audio(
            first_audio_ms=self.spread("first_audio_ms"),
            barge_in_stop_ms=self.spread("barge_in_stop_ms"),
            mouth_to_ear_ms=self.spread("mouth_to_ear_ms"),
            jitter_ms=self.spread("jitter_ms"),
            packet_lateness_ms=self.spread("packet_lateness_ms"),
            move_silence_ms=self.spread("move_silence_ms"),
            loss_percent=self.loss_percent,
            burst_ratio=self.burst_ratio,
            concealed_percent=_percent(self.samples_concealed, self.samples_heard),
            mos=self.spread("mos"),
        )


def _percent(part: int, whole: int) -> float | None:
    return 100 * min(part, whole) / whole if whole else None
