"""A cheap caller, at the level of RTP, that keeps its session: it comes back when its WebSocket or its media is lost.

What it hears over all its peer connections is one recording.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from callers.audio_recorder import AudioRecorder
from callers.reconnection import Reconnection
from callers.recording import Recording
from callers.rtp_caller import RtpCaller
from callers.signaling import Event, NotConnected, Signaling

RATE = 16_000
_CONNECT_TIMEOUT_S = 15.0
_TICKS_PER_FRAME = 960
_NOTES = 60
_TOLD = ("seq", "status", "reason", "scope", "code", "message", "timeLeftMs", "sessionId")
"""What is noted of an event."""


class LastingCaller:
    """Connects on entering, and hangs up on leaving. Entering raises `NotConnected`. Times are monotonic."""

    def __init__(
        self, gateways: Sequence[str], first: int, agent_id: str, reroute: Callable[[str], str] = lambda sdp: sdp
    ) -> None:
        """It begins at gateway number `first`. `reroute` may change the server's answers."""
        self._reroute = reroute
        self.signaling = Signaling(gateways[first % len(gateways)], agent_id, self._on_event, gateways)
        self.session = ""
        self.answer = ""
        """The last session description of the server."""
        self.end_reason: str | None = None
        self.notes: deque[tuple[float, str]] = deque(maxlen=_NOTES)
        """What the server said last, and when this caller connected."""
        self._rtp = RtpCaller()
        self._frames = 0
        self._connected_s = 0.0
        self._reconnection = Reconnection(self.signaling, self._renew, self._silent_s)
        self._reconnecting: asyncio.Task[None] | None = None
        self.heard = Recording(RATE)
        self._recorder = AudioRecorder(self.heard)

    @property
    def reconnections(self) -> int:
        return self._reconnection.count

    @property
    def is_lost(self) -> bool:
        """The session is over, though nobody hung up."""
        return self.signaling.lost is not None or self.end_reason is not None

    async def __aenter__(self) -> Self:
        try:
            await self._connect(self._rtp)
        except BaseException:
            await self.__aexit__()
            raise
        self._reconnecting = asyncio.create_task(self._reconnection.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        await self.signaling.hang_up()
        await self._rtp.close()
        await self.signaling.close()

    def send(self, payload: bytes) -> None:
        """The next 20 ms. Lost if there is no connection."""
        self._frames += 1
        if self._rtp.is_connected:
            self._rtp.send(payload, self._frames * _TICKS_PER_FRAME)

    def listen(self) -> None:
        """Record what has come."""
        received, self._rtp.received = self._rtp.received, []
        for packet in received:
            self._recorder.take(packet.seq, packet.timestamp, packet.payload, packet.arrived_s)

    def forget(self) -> None:
        """Begin another recording."""
        self.heard = Recording(RATE)
        self._recorder = AudioRecorder(self.heard)

    async def _renew(self) -> None:
        rtp = RtpCaller()
        try:
            await self._connect(rtp)
        except BaseException:
            await rtp.close()
            raise
        self.listen()
        old, self._rtp = self._rtp, rtp
        self._recorder = AudioRecorder(self.heard)
        await old.close()
        self._note("closed the connection before")

    async def _connect(self, rtp: RtpCaller) -> None:
        try:
            self._note("connects")
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await rtp.connect(self._exchange)
        except TimeoutError as error:
            self._note("no connection in time")
            raise NotConnected("no connection in time") from error
        except NotConnected as error:
            self._note(f"not connected: {error.code}, {error}")
            raise
        self._connected_s = time.monotonic()
        self._note("connected")

    async def _exchange(self, sdp: str) -> str:
        self.answer = self._reroute(await self.signaling.exchange(sdp))
        return self.answer

    def _silent_s(self) -> float:
        return time.monotonic() - max(self._connected_s, self._rtp.heard_s)

    def _note(self, what: str) -> None:
        self.notes.append((time.monotonic(), what))

    def _on_event(self, event: Event) -> None:
        told = {name: event[name] for name in _TOLD if name in event}
        self._note(f"{self.signaling.url}: {event['type']} {told or ''}")
        self._reconnection.on_event(event)
        if event["type"] == "session":
            self.session = str(event["sessionId"])
        elif event["type"] == "status" and event.get("status") == "ended":
            self.end_reason = str(event.get("reason"))
