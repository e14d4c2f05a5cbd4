"""What happened in a call, with times of the loop's clock in seconds."""

from typing import Any, NamedTuple

from callers.recording import Recording
from shared.audio import UPLINK_RATE

HEARD_RATE = UPLINK_RATE


class CallEvent(NamedTuple):
    """An event of the server, or an action of the caller (`type` is then empty)."""

    at_s: float
    type: str
    fields: dict[str, Any]


class CallRecord:
    """The server numbers its events. One that arrives on both channels is kept once."""

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.entries: list[CallEvent] = []
        self.heard = Recording(HEARD_RATE)
        self._seen: set[int] = set()

    def note(self, at_s: float, action: str) -> None:
        """Record an action of the caller."""
        self.entries.append(CallEvent(at_s, "", {"action": action}))

    def take(self, at_s: float, event: dict[str, Any]) -> None:
        seq = event.get("seq")
        if seq in self._seen:
            return
        if isinstance(seq, int):
            self._seen.add(seq)
        fields = {name: value for name, value in event.items() if name not in ("type", "seq", "data")}
        self.entries.append(CallEvent(at_s, str(event.get("type")), fields))

    def events(self, event_type: str, since_s: float = 0.0) -> list[CallEvent]:
        return [entry for entry in self.entries if entry.type == event_type and entry.at_s >= since_s]

    def said(self, role: str) -> list[str]:
        """The final transcripts of `user` or `agent`."""
        return [str(event.fields["text"]) for event in self.events("transcript") if event.fields.get("role") == role]

    @property
    def statuses(self) -> list[str]:
        return [str(event.fields.get("status")) for event in self.events("status")]

    @property
    def status(self) -> str | None:
        """The latest."""
        return self.statuses[-1] if self.statuses else None

    @property
    def end_reason(self) -> str | None:
        """Why the call is over; None while it is not."""
        end = self._end()
        return str(end.fields.get("reason")) if end else None

    @property
    def ended_s(self) -> float | None:
        end = self._end()
        return end.at_s if end else None

    def _end(self) -> CallEvent | None:
        return next((event for event in self.events("status") if event.fields.get("status") == "ended"), None)
