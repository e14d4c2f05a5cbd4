"""One caller of a load run: sets up a session, says the marked sound, and measures what comes back.

As a client does, it comes back through a new WebSocket or peer connection when the server or the network makes it.
Its clock is its crew's, which calls `send_next` every 20 ms.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from aiortc import RTCIceServer

from callers.impairment import Impairment
from callers.load.caller_media import CallerMedia
from callers.load.marked_sound import PACKETS_PER_MARK, MarkListener, mark_at
from callers.load.messages import SetUpTimes
from callers.load.rtp_meter import RtpMeter
from callers.reconnection import Reconnection
from callers.server import Relay
from callers.signaling import Event, NotConnected, Signaling

_CONNECT_TIMEOUT_S = 20.0
_DEAF_AFTER_S = 3.0
"""The server says something every 400 ms, even in silence."""
_CUT_AFTER_S = 35.0
"""A server keeps a session for 30 s without media."""
_FRAME_S = 0.02
_TICKS = 960
_DTX_PAYLOAD = 3
"""A larger payload holds sound."""
_LEAST_SOUND = 12 + _DTX_PAYLOAD + 16 + 1
"""Of a datagram with its header and the longest authentication tag (RFC 7714 §14.2)."""
_LONGEST_DELAY_S = 7.0
_seq_timestamp_ssrc = struct.Struct("!HII").unpack_from


class OpenSignaling(Protocol):
    def __call__(self, *, on_event: Callable[[Event], None]) -> Signaling: ...


class LoadCaller:
    """`call`, then `send_next` as the clock says, then `leave`."""

    def __init__(
        self,
        open_signaling: OpenSignaling,
        packets: list[bytes],
        index: int,
        impairment: Impairment,
        listens: bool,
        relays: Sequence[Relay] = (),
    ) -> None:
        """With `listens` it decodes what it hears, and measures the delay from mouth to ear."""
        self._ice_servers = [RTCIceServer(list(relay.urls), relay.username, relay.credential) for relay in relays]
        self._impairment = impairment
        self._index = index
        self._signaling = open_signaling(on_event=self._on_event)
        self._media = self._new_media()
        self._reconnection = Reconnection(self._signaling, self._move, lambda: self._media.silent_s)
        self._reconnecting: asyncio.Task[None] | None = None
        self._packets = packets
        self._position = index * PACKETS_PER_MARK % len(packets)
        self._sent = 0
        self.meter = RtpMeter()
        self.first_audio = asyncio.Event()
        self._first_audio_s = 0.0
        self._times = self._media.set_up
        """Of the first peer connection."""
        self._delays_ms: list[float] = []
        self._marks: dict[int, float] = {}
        self._listener = MarkListener() if listens else None
        self._is_leaving = False
        self._end_reason: str | None = None

    @property
    def is_connected(self) -> bool:
        """Packets can be sent, though perhaps nobody takes them."""
        return self._media.is_connected

    @property
    def is_served(self) -> bool:
        """It hears the server."""
        return self._media.is_connected and self._media.silent_s < _DEAF_AFTER_S

    @property
    def end_reason(self) -> str | None:
        """Why the session is lost; None while it can go on."""
        if self._end_reason is not None:
            return self._end_reason
        if self._signaling.lost is not None:
            return self._signaling.lost.code
        return "connection" if self._reconnecting and self._media.silent_s > _CUT_AFTER_S else None

    async def call(self) -> None:
        """Raises `NotConnected`."""
        await self._connect(self._media)
        self._times = self._media.set_up
        if self._end_reason is not None:
            raise NotConnected("the session was over before it began", code=self._end_reason)
        self._reconnecting = asyncio.create_task(self._reconnection.run())

    def set_up_times(self) -> SetUpTimes:
        """Of a caller who is connected."""
        times, signaling = self._times, self._signaling
        sdp_s = (times.offered_s - times.began_s) + (times.described_s - times.answered_s)
        return SetUpTimes(
            connect=1000 * (signaling.opened_s - signaling.dialed_s),
            place=1000 * (times.answered_s - signaling.opened_s),
            sdp=1000 * sdp_s,
            ice=1000 * (times.checked_s - times.described_s),
            dtls=1000 * (times.secured_s - times.checked_s),
            first_audio=1000 * (self._first_audio_s - times.secured_s) if self._first_audio_s else None,
        )

    def send_next(self, now_s: float) -> None:
        mark = mark_at(self._position)
        if mark is not None:
            self._marks[mark] = now_s - _FRAME_S  # a packet leaves when its last sample was spoken
        payload = self._packets[self._position]
        self._position = (self._position + 1) % len(self._packets)
        self._sent += 1
        try:
            self._media.send(payload, self._sent * _TICKS, marker=self._sent == 1)
        except Exception as error:  # noqa: BLE001 (whatever aiortc raises fails this caller, not all of the process)
            self._end_reason = f"caller_{type(error).__name__}"

    def take_delays_ms(self) -> list[float]:
        """From mouth to ear, since the last time."""
        delays_ms, self._delays_ms = self._delays_ms, []
        return delays_ms

    async def leave(self) -> None:
        self._is_leaving = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        await self._signaling.hang_up()
        await self._media.leave()
        await self._signaling.close()

    async def _connect(self, media: CallerMedia) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await media.connect(self._signaling.exchange)
        except TimeoutError as error:
            raise NotConnected("no connection in time", code="connect_timeout") from error

    async def _move(self) -> None:
        """To another peer connection. The old one plays on until then. Raises `NotConnected`."""
        media = self._new_media()
        try:
            await self._connect(media)
        except BaseException:
            await media.leave()
            raise
        old, self._media = self._media, media
        await old.leave()

    def _new_media(self) -> CallerMedia:
        return CallerMedia(self._ice_servers, self._impairment, self._index, self._take)

    def _on_event(self, event: Event) -> None:
        self._reconnection.on_event(event)
        if event["type"] == "status" and event.get("status") == "ended" and not self._is_leaving:
            self._end_reason = str(event.get("reason"))
            self._media.give_up()

    def _take(self, media: CallerMedia, datagram: bytes) -> None:
        now_s = time.monotonic()
        seq, timestamp, ssrc = _seq_timestamp_ssrc(datagram, 2)  # SRTP leaves the header readable
        if not self.meter.take(ssrc, seq, timestamp, now_s):
            return
        if not self._first_audio_s and len(datagram) >= _LEAST_SOUND:
            self._first_audio_s = now_s
            self.first_audio.set()
        if self._listener is not None:
            self._listen(self._listener, media.payload_of(datagram, now_s), now_s)

    def _listen(self, listener: MarkListener, payload: bytes, now_s: float) -> None:
        if len(payload) <= _DTX_PAYLOAD:
            return
        heard = listener.hear(payload)
        if heard is not None and (spoken_s := self._marks.pop(heard[0], None)) is not None:
            delay_s = now_s + heard[1] - spoken_s
            if 0 < delay_s < _LONGEST_DELAY_S:
                self._delays_ms.append(1000 * delay_s)
