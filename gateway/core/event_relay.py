"""The events for one client: live ones as they come, and stored ones for a client that has missed some.

While the stored events are being read, live ones wait, so that the client gets each once and in order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.session_record import StoredEvent

_Event = Mapping[str, Any]
_MAX_HELD = 1_000
"""Reading takes less than a second. More events than this are no conversation."""


class EventRelay:
    def __init__(self) -> None:
        self._last_seq = 0
        self._held: list[StoredEvent] | None = None

    def begin_replay(self, last_seq: int | None = None) -> None:
        """The client has seen the events up to `last_seq`, or else all that came. Live events wait for `replay`."""
        self._last_seq = self._last_seq if last_seq is None else last_seq
        self._held = self._held or []

    def replay(self, stored: Sequence[StoredEvent]) -> list[_Event]:
        """What the client has missed, the events that have waited among it."""
        held, self._held = self._held or [], None
        missed = {each.seq: each.event for each in (*stored, *held) if each.seq > self._last_seq}
        self._last_seq = max(missed, default=self._last_seq)
        return [missed[seq] for seq in sorted(missed)]

    def live(self, event: _Event) -> list[_Event]:
        if self._held is None or len(self._held) >= _MAX_HELD:
            self._last_seq = max(self._last_seq, event["seq"])
            return [event]
        self._held.append(StoredEvent(0, event))
        return []
