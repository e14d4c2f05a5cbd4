from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event_relay import EventRelay
from gateway.core.session_record import StoredEvent
from shared.events import client_event


def event(seq: int) -> Mapping[str, Any]:
    return client_event("status", seq, {"status": "listening"})


def stored(*seqs: int) -> list[StoredEvent]:
    return [StoredEvent(seq, event(seq)) for seq in seqs]


def test_live_events_pass() -> None:
    relay = EventRelay()
    assert relay.live(event(1)) == [event(1)]
    assert relay.replay(()) == []
    assert relay.live(event(1)) == [event(1)]


def test_live_events_wait_for_those_that_were_missed() -> None:
    relay = EventRelay()
    relay.begin_replay(3)
    assert relay.live(event(6)) == []
    assert relay.replay(stored(2, 3, 4, 5)) == [event(4), event(5), event(6)]
    assert relay.live(event(7)) == [event(7)]


def test_what_was_lost_on_its_way_to_the_gateway_comes_before_what_followed() -> None:
    relay = EventRelay()
    relay.live(event(1))
    relay.begin_replay()
    assert relay.live(event(4)) == []
    assert relay.replay(stored(1, 2, 3)) == [event(2), event(3), event(4)]
    relay.begin_replay()
    assert relay.replay(stored(1, 2, 3, 4)) == []


def test_an_event_that_is_stored_and_live_comes_once() -> None:
    relay = EventRelay()
    relay.begin_replay(0)
    relay.live(event(1))
    assert relay.replay(stored(1)) == [event(1)]


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_nothing_is_missing_between_stored_and_live_events(seen: int, first_live: int, last_stored: int) -> None:
    """The reading overlaps with the live events, so `first_live` is at most one behind the stored ones."""
    last_stored = max(last_stored, first_live - 1)
    relay = EventRelay()
    relay.begin_replay(seen)
    for seq in range(first_live, 21):
        relay.live(event(seq))
    seqs = [each["seq"] for each in relay.replay(stored(*range(1, last_stored + 1)))]
    assert seqs == sorted(set(seqs))
    assert set(range(seen + 1, 21)) <= set(seqs)
