"""When a caller needs a new peer connection, and how often it tries.

It is needed when the server says so, or when nothing at all has come for so long that a consent check of ICE (RFC 7675)
must have gone unanswered. The new connection is made before the old one is closed.
"""

import asyncio
from collections.abc import Awaitable, Callable

from callers.signaling import Event, NotConnected, Signaling, back_off

SILENT_AFTER_S = 6.5
"""aiortc checks consent every 4 to 6 s."""
_LOOK_EVERY_S = 0.1


class Reconnection:
    """`renew` makes the new peer connection, or raises `NotConnected`. `silent_s` is how long nothing has come."""

    def __init__(
        self, signaling: Signaling, renew: Callable[[], Awaitable[None]], silent_s: Callable[[], float]
    ) -> None:
        self._signaling = signaling
        self._renew = renew
        self._silent_s = silent_s
        self._is_wanted = False
        self.count = 0

    def on_event(self, event: Event) -> None:
        if event["type"] in ("goaway", "stay") and event.get("scope") == "media":
            self._is_wanted = event["type"] == "goaway"

    async def run(self) -> None:
        """Until cancelled, or the session is lost."""
        while self._signaling.lost is None:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._is_needed():
                await self._reconnect()
                self._is_wanted = False

    def _is_needed(self) -> bool:
        return self._is_wanted or self._silent_s() > SILENT_AFTER_S

    async def _reconnect(self) -> None:
        for delay_s in back_off():
            await asyncio.sleep(delay_s)
            if not self._is_needed():
                return
            try:
                await self._renew()
            except NotConnected:
                if self._signaling.lost is not None:
                    return
            else:
                self.count += 1
                return
