"""What happened in a call, with its times (of the loop's clock, in seconds)."""

from typing import Any, NamedTuple

from deploy.evaluation.sound_line import SoundLine
from shared.audio import UPLINK_RATE

HEARD_RATE = UPLINK_RATE


class Happening(NamedTuple):
    """An event, or something that the caller did (`type` is then empty)."""

    at_s: float
    type: str
    fields: dict[str, Any]


class CallRecord:
    """Events are numbered by the server; one that comes on both channels is kept once."""

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.happenings: list[Happening] = []
        self.heard = SoundLine(HEARD_RATE)
        self._seen: set[int] = set()

    def note(self, at_s: float, deed: str) -> None:
        """The caller does something."""
        self.happenings.append(Happening(at_s, "", {"deed": deed}))

    def take(self, at_s: float, event: dict[str, Any]) -> None:
        seq = event.get("seq")
        if seq in self._seen:
            return
        if isinstance(seq, int):
            self._seen.add(seq)
        fields = {name: value for name, value in event.items() if name not in ("type", "seq", "data")}
        self.happenings.append(Happening(at_s, str(event.get("type")), fields))

    def events(self, event_type: str, since_s: float = 0.0) -> list[Happening]:
        return [what for what in self.happenings if what.type == event_type and what.at_s >= since_s]

    @property
    def status(self) -> str | None:
        """The latest."""
        statuses = self.events("status")
        return statuses[-1].fields.get("status") if statuses else None

    @property
    def end_reason(self) -> str | None:
        """Why the call is over; None while it is not."""
        end = self._end()
        return str(end.fields.get("reason")) if end else None

    @property
    def ended_s(self) -> float | None:
        """When it was over."""
        end = self._end()
        return end.at_s if end else None

    def _end(self) -> Happening | None:
        return next((what for what in self.events("status") if what.fields.get("status") == "ended"), None)
