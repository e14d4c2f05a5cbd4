import json
from typing import Any, cast

from media_worker.event_channel import EventChannel
from shared import keys
from shared.events import ClientEventSent, client_event
from shared.io.outbox import Outbox


class Both:
    """What went out on the data channel, and what to the gateway."""

    def __init__(self) -> None:
        self.on_channel: list[dict[str, Any]] = []
        self.to_gateway: list[dict[str, Any]] = []
        self.events = EventChannel("s1", "g1", cast(Outbox, cast(Any, self)), self._on_channel)

    def send(self, inbox: str, message: ClientEventSent) -> None:
        assert inbox == keys.inbox("gateway", "g1")
        self.to_gateway.append(message.event)

    def _on_channel(self, text: str) -> None:
        self.on_channel.append(json.loads(text))


def test_events_are_numbered_and_the_same_on_both_ways() -> None:
    both = Both()
    both.events.open()
    both.events.publish("status", {"status": "connecting"})
    both.events.publish_error("no_pipeline", "Später")
    assert both.on_channel == both.to_gateway
    assert both.on_channel == [
        client_event("status", 1, {"status": "connecting"}),
        client_event("error", 2, {"code": "no_pipeline", "message": "Später"}),
    ]


def test_the_newest_hundred_events_wait_for_the_data_channel() -> None:
    both = Both()
    for n in range(110):
        both.events.publish("status", {"n": n})
    assert (len(both.to_gateway), both.on_channel) == (110, [])
    both.events.open()
    assert [event["seq"] for event in both.on_channel] == list(range(11, 111))
