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
_PASSING = {"transcript-partial", "metrics", "goaway"}
"""Of no use to a client that comes back."""


class EventChannel:
    """Keeps the newest events until the data channel is open; the gateway gets each at once.

    `seq` is the number of the session's last event, and `published` that of the pipeline workers' last one.
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
        self._seq = seq
        self.published = published
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

    def open(self) -> None:
        """The data channel is open: send what waited for it."""
        self._is_open = True
        while self._waiting:
            self._send_on_channel(self._waiting.popleft())

    def publish(self, event_type: str, fields: Mapping[str, Any], number: int = 0) -> None:
        """`number` is the one that the pipeline worker gave the event."""
        self._seq += 1
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

    def publish_error(self, code: str, message: str) -> None:
        event: ErrorEvent = {"code": code, "message": message}
        self.publish("error", event)

    def send(self, message: Message) -> None:
        """To the client's gateway."""
        if self.inbox:
            self._outbox.send(self.inbox, message)
