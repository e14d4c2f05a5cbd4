import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callers.reconnection import SILENT_AFTER_S, Reconnection
from callers.signaling import NotConnected, Signaling
from tests.fakes.patience import eventually


class Calling:
    """A caller whose peer connections fail as often as is wanted."""

    def __init__(self) -> None:
        self.silent_s = 0.0
        self.failures = 0
        self.renewals = 0
        self.signaling = Signaling("ws://nowhere", "desk", lambda _: None, ["ws://nowhere"])
        self.reconnection = Reconnection(self.signaling, self.renew, lambda: self.silent_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Calling"]:
        self.task = asyncio.create_task(self.reconnection.run())
        yield self
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def renew(self) -> None:
        self.renewals += 1
        if self.failures:
            self.failures -= 1
            raise NotConnected("no room")
        self.silent_s = 0.0


async def test_a_server_that_sends_the_caller_away_gets_it_reconnected_once() -> None:
    async with Calling().running() as call:
        call.reconnection.on_event({"type": "goaway", "scope": "signaling"})
        call.reconnection.on_event({"type": "goaway", "scope": "media", "timeLeftMs": 0})
        await eventually(lambda: call.reconnection.count == 1)
    assert call.renewals == 1


async def test_a_caller_to_whom_nothing_comes_reconnects_until_it_succeeds() -> None:
    async with Calling().running() as call:
        call.failures = 2
        call.silent_s = SILENT_AFTER_S + 0.1
        await eventually(lambda: call.reconnection.count == 1)
    assert call.renewals == 3


async def test_a_caller_whose_session_is_lost_stops_trying() -> None:
    async with Calling().running() as call:
        call.failures = 100
        call.signaling.lost = NotConnected("refused", code="resume_refused")
        call.silent_s = SILENT_AFTER_S + 0.1
        await eventually(call.task.done)
    assert call.reconnection.count == 0


async def test_a_caller_who_has_found_no_other_place_stays_if_the_server_says_so() -> None:
    async with Calling().running() as call:
        call.failures = 100
        call.reconnection.on_event({"type": "goaway", "scope": "media", "timeLeftMs": 9_000})
        await eventually(lambda: call.renewals == 1)
        call.reconnection.on_event({"type": "stay", "scope": "media"})
        call.failures = 0
        await asyncio.sleep(0.5)  # the next attempt would be made after 0.24 to 0.36 s
    assert (call.renewals, call.reconnection.count) == (1, 0)
