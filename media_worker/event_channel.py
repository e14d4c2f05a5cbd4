"""Events for one client: numbered, and sent both on the data channel and through the gateway."""

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from shared import keys
from shared.events import ClientEventSent, client_event
from shared.io.outbox import Outbox

_EVENTS_KEPT = 100


class EventChannel:
    """Keeps the newest events until the data channel is open; the gateway gets each at once."""

    def __init__(self, session: str, gateway: str, outbox: Outbox, send_on_channel: Callable[[str], object]) -> None:
        self._session = session
        self._gateway = keys.inbox("gateway", gateway)
        self._outbox = outbox
        self._send_on_channel = send_on_channel
        self._is_open = False
        self._waiting: deque[str] = deque(maxlen=_EVENTS_KEPT)
        self._seq = 0

    def open(self) -> None:
        """The data channel is open: send what waited for it."""
        self._is_open = True
        while self._waiting:
            self._send_on_channel(self._waiting.popleft())

    def publish(self, event_type: str, fields: dict[str, Any]) -> None:
        self._seq += 1
        event = client_event(event_type, self._seq, fields)
        self._outbox.send(self._gateway, ClientEventSent(session=self._session, event=event))
        text = json.dumps(event, ensure_ascii=False)
        if self._is_open:
            self._send_on_channel(text)
        else:
            self._waiting.append(text)

    def publish_error(self, code: str, message: str) -> None:
        self.publish("error", {"code": code, "message": message})
