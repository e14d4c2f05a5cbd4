"""One caller of a load run: sets up a session, says the marked sound, and measures what comes back.

Its clock is its crew's, which calls `send_next` every 20 ms.
"""

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from aiortc import RTCIceServer

from callers.impairment import Direction, Impairment, is_rtp
from callers.load.marked_sound import PACKETS_PER_MARK, MarkListener, mark_at
from callers.load.messages import SetUpTimes
from callers.load.rtp_meter import RtpMeter
from callers.rtp_caller import RtpCaller
from callers.server import Relay
from callers.signaling import Event, NotConnected, Signaling

_CONNECT_TIMEOUT_S = 20.0
_LEAVE_TIMEOUT_S = 5.0
_FRAME_S = 0.02
_TICKS = 960
_DTX_PAYLOAD = 3
"""A larger payload holds sound."""
_LEAST_SOUND = 12 + _DTX_PAYLOAD + 16 + 1
"""Of a datagram with its header and the longest authentication tag (RFC 7714 §14.2)."""
_LONGEST_DELAY_S = 7.0
_seq_and_timestamp = struct.Struct("!HI").unpack_from


class OpenSignaling(Protocol):
    def __call__(self, *, on_event: Callable[[Event], None]) -> Signaling: ...


class LoadCaller(RtpCaller):
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
        super().__init__(True, [RTCIceServer(list(relay.urls), relay.username, relay.credential) for relay in relays])
        self._signaling = open_signaling(on_event=self._on_event)
        self._packets = packets
        self._position = index * PACKETS_PER_MARK % len(packets)
        self._sent = 0
        self.meter = RtpMeter()
        self.first_audio = asyncio.Event()
        self._first_audio_s = 0.0
        self._delays_ms: list[float] = []
        self._marks: dict[int, float] = {}
        self._listener = MarkListener() if listens else None
        self._is_leaving = False
        self.end_reason: str | None = None
        """Why the server ended the session; None if it did not."""
        self._uplink = self._downlink = None
        if impairment != Impairment():
            self._uplink = Direction(impairment, 2 * index, super()._transmit)
            self._downlink = Direction(impairment, 2 * index + 1, self._take)
            self._uplink.is_spoiled = self._downlink.is_spoiled = True

    async def call(self) -> None:
        """Raises `NotConnected`."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self.connect(self._signaling.exchange)
        except TimeoutError as error:
            raise NotConnected("no connection in time", code="connect_timeout") from error
        if self.end_reason is not None:
            raise NotConnected("the session was over before it began", code=self.end_reason)

    def set_up_times(self) -> SetUpTimes:
        """Of a caller who is connected."""
        times, signaling = self.set_up, self._signaling
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
        self.send(payload, self._sent * _TICKS, marker=self._sent == 1)

    def take_delays_ms(self) -> list[float]:
        """From mouth to ear, since the last time."""
        delays_ms, self._delays_ms = self._delays_ms, []
        return delays_ms

    async def leave(self) -> None:
        self._is_leaving = True
        await self._signaling.hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                await self.close()
        await self._signaling.close()

    def _on_event(self, event: Event) -> None:
        if event["type"] == "status" and event.get("status") == "ended" and not self._is_leaving:
            self.end_reason = str(event.get("reason"))
            self.give_up()

    def _transmit(self, datagram: bytes) -> None:
        if self._uplink is not None:
            self._uplink.pass_on(datagram)
        else:
            super()._transmit(datagram)

    def _on_datagram(self, datagram: bytes, component: int) -> None:
        if not is_rtp(datagram):
            self._pass_on(datagram, component)
        elif self._downlink is not None:
            self._downlink.pass_on(datagram)
        else:
            self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        now_s = time.monotonic()
        seq, timestamp = _seq_and_timestamp(datagram, 2)  # SRTP leaves the header readable
        self.meter.take(seq, timestamp, now_s)
        if not self._first_audio_s and len(datagram) >= _LEAST_SOUND:
            self._first_audio_s = now_s
            self.first_audio.set()
        if self._listener is not None:
            self._listen(self._listener, datagram, now_s)

    def _listen(self, listener: MarkListener, datagram: bytes, now_s: float) -> None:
        packet = self._decrypted(datagram, now_s)
        if packet is None or len(packet.payload) <= _DTX_PAYLOAD:
            return
        heard = listener.hear(packet.payload)
        if heard is not None and (spoken_s := self._marks.pop(heard[0], None)) is not None:
            delay_s = now_s + heard[1] - spoken_s
            if 0 < delay_s < _LONGEST_DELAY_S:
                self._delays_ms.append(1000 * delay_s)
