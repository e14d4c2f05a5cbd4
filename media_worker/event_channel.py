"""Events for one client: numbered, and sent both on the data channel and through the gateway.

Final events are recorded too, for a client that comes back.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from shared import keys
from shared.client_events import ErrorEvent
from shared.events import ClientEventSent, Message, SessionClosed, client_event
from shared.io.outbox import Outbox

_EVENTS_KEPT = 100
SEQ_STEP = 1_000
"""The event that a pipeline worker has numbered n gets `seq` n * 1000, whichever media worker sends it: while a session
moves, two of them may. A media worker's own events are numbered in between."""
_SEQS_SKIPPED = 100
"""After a move, because the previous media worker may have sent events of its own that we do not know of."""
_PASSING = {"transcript-partial", "metrics", "goaway", "stay"}
"""Of no use to a client that comes back."""


class EventChannel:
    """Keeps the newest events until the data channel is open; the gateway gets each at once.

    `seq` is that of the last event that the client may have seen, and `published` the number of the pipeline workers'
    last event that was recorded.
    """

    def __init__(
        self,
        session: str,
        outbox: Outbox,
        send_on_channel: Callable[[str], object],
        record: Callable[[dict[str, Any], int], None],
        seq: int = 0,
        published: int = 0,
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._send_on_channel = send_on_channel
        self._record = record
        self._seq = seq + _SEQS_SKIPPED if seq else 0
        self._known = seq // SEQ_STEP
        self.published = max(published, self._known)
        self._missing: set[int] | None = None
        """Numbers of events that did not come. None: the present pipeline worker has lost nothing."""
        self.inbox = ""
        """Key of the gateway's inbox; empty while the client has no WebSocket."""
        self._is_open = False
        self._waiting: deque[str] = deque(maxlen=_EVENTS_KEPT)

    def attach(self, gateway: str) -> None:
        """The client's WebSocket is at this gateway now. Another one that still has one of this client is told."""
        inbox = keys.inbox("gateway", gateway)
        if self.inbox != inbox:
            self.send(SessionClosed(session=self._session, reason="replaced"))
        self.inbox = inbox

    def detach(self) -> None:
        self.inbox = ""

    def expect_repeats(self) -> None:
        """Messages of the pipeline worker were lost, and it sends some events again."""
        if self._missing is None:
            self._missing = set()

    def expect_no_repeats(self) -> None:
        """Another pipeline worker sends the events from now on."""
        self._missing = None

    def open(self) -> None:
        """The data channel is open: send what waited for it."""
        self._is_open = True
        while self._waiting:
            self._send_on_channel(self._waiting.popleft())

    def publish(self, event_type: str, fields: Mapping[str, Any], number: int = 0) -> None:
        """`number` is the one that the pipeline worker gave the event; 0 for our own. A repeated event that had come is
        dropped."""
        if 0 < number <= self._known:
            return  # sent again after a move, for a client that has it already
        if self._missing is not None and number and not self._is_new(number, self._missing):
            return
        self._seq = max(self._seq + 1, number * SEQ_STEP)
        self.published = max(self.published, number)
        event = client_event(event_type, self._seq, fields)
        self.send(ClientEventSent(session=self._session, event=event))
        text = json.dumps(event, ensure_ascii=False)
        if self._is_open:
            self._send_on_channel(text)
        else:
            self._waiting.append(text)
        if event_type not in _PASSING:
            self._record(event, number)

    def _is_new(self, number: int, missing: set[int]) -> bool:
        if number > self.published:
            missing.update(range(max(self.published + 1, number - _EVENTS_KEPT), number))
            return True
        if number in missing:
            missing.remove(number)
            return True
        return False

    def publish_error(self, code: str, message: str) -> None:
        event: ErrorEvent = {"code": code, "message": message}
        self.publish("error", event)

    def send(self, message: Message) -> None:
        """To the client's gateway."""
        if self.inbox:
            self._outbox.send(self.inbox, message)
