"""One peer connection of a load caller, and the harm that a bad network does to it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from aiortc import RTCIceServer

from callers.impairment import Direction, Impairment, is_rtp
from callers.rtp_caller import RtpCaller

_LEAVE_TIMEOUT_S = 5.0


class CallerMedia(RtpCaller):
    """`take` gets each RTP packet that comes, still encrypted."""

    def __init__(
        self,
        ice_servers: Sequence[RTCIceServer],
        impairment: Impairment,
        index: int,
        take: Callable[["CallerMedia", bytes], None],
    ) -> None:
        super().__init__(True, ice_servers)
        self._take = take
        self._uplink = self._downlink = None
        if impairment != Impairment():
            self._uplink = Direction(impairment, 2 * index, super()._transmit)
            self._downlink = Direction(impairment, 2 * index + 1, self._arrive)
            self._uplink.is_spoiled = self._downlink.is_spoiled = True

    @property
    def silent_s(self) -> float:
        """How long nothing has come, not even the answer to a consent check."""
        return time.monotonic() - max(self.set_up.secured_s, self.heard_s)

    def payload_of(self, datagram: bytes, arrived_s: float) -> bytes:
        """Empty for a duplicate."""
        packet = self._decrypted(datagram, arrived_s)
        return b"" if packet is None else packet.payload

    async def leave(self) -> None:
        """Closes it, if that does not take too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                await self.close()

    def _transmit(self, datagram: bytes) -> None:
        if self._uplink is not None:
            self._uplink.pass_on(datagram)
        else:
            super()._transmit(datagram)

    def _on_datagram(self, datagram: bytes, component: int) -> None:
        self.heard_s = time.monotonic()
        if not is_rtp(datagram):
            self._pass_on(datagram, component)
        elif self._downlink is not None:
            self._downlink.pass_on(datagram)
        else:
            self._arrive(datagram)

    def _arrive(self, datagram: bytes) -> None:
        self._take(self, datagram)
