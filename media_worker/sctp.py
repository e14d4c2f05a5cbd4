"""aiortc's SCTP with bounds, so that one caller cannot exhaust the processor or the memory.

aiortc advertises a receive window but does not enforce it. It searches everything that it holds for each chunk, and
keeps a stream for every stream number that it is sent. A sender that follows RFC 9260 does not reach the bounds here.
What exceeds them is dropped as if the network had lost it; what cannot be a mistake ends the session.
"""

import asyncio
import struct
from collections.abc import Callable

from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import SCTP_DATA_LAST_FRAG, Chunk, DataChunk, ForwardTsnChunk, RTCSctpTransport, SackChunk
from OpenSSL import SSL
from prometheus_client import Counter

from media_worker.core.sctp_packet import is_well_formed
from media_worker.core.sdp_answer import MAX_MESSAGE_SIZE
from shared.rate_limiter import RateLimiter

MAX_STREAMS = 16
TSN_WINDOW = 128
"""Chunks ahead of the first missing one: more than twice the longest message."""
_MAX_HELD_CHUNKS = 2 * TSN_WINDOW
_WINDOW_BYTES = 96 * 1024
_MAX_HELD_BYTES = 128 * 1024  # above the window: a sender in need may send a chunk more than it (RFC 9260 §6.1 A)
_CHUNKS_PER_S = _CHUNK_BURST = 1_000
"""At worst a twentieth of a core. Well above the limits of control messages, so that a flood of those is recognised."""
_TSN_MODULO = 1 << 32
_RELIED_ON = (
    "_advertised_rwnd",
    "_data_channels",
    "_inbound_streams",
    "_last_received_tsn",
    "_local_partial_reliability",
    "_local_tsn",
    "_sack_misordered",
    "_sack_needed",
)

_dropped = Counter("antiphon_media_sctp_dropped_total", "SCTP packets and chunks of callers over a bound", ["why"])


class BoundedSctp(RTCSctpTransport):
    """Calls `on_misuse(reason, details)` once, then ignores everything."""

    def __init__(self, dtls: RTCDtlsTransport, on_misuse: Callable[[str, str], None]) -> None:
        super().__init__(dtls)
        for name in _RELIED_ON:
            getattr(self, name)  # raises if aiortc has renamed it, and the self-test says so
        self.dropped = 0
        self._on_misuse = on_misuse
        self._misused = False
        self._chunks = RateLimiter(_CHUNKS_PER_S, _CHUNK_BURST)
        self._advertised_rwnd = _WINDOW_BYTES
        # FORWARD TSN (RFC 3758) is not offered: a control channel needs no abandoned messages, and one such chunk can
        # name hundreds of streams to search. A sender may not use what was not offered (§3.3).
        self._local_partial_reliability = False

    def end(self, reason: str, details: str) -> None:
        """End the association: nothing more of this caller is read."""
        if not self._misused:
            self._misused = True
            self._on_misuse(reason, details)

    async def _handle_data(self, data: bytes) -> None:
        if self._misused:
            return
        if not is_well_formed(data):
            self._drop("malformed")
            return
        try:
            await super()._handle_data(data)
            self._check_held()
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            # aiortc asserts what callers should do, and decodes what they send.
            self.end("data_channel_failed", repr(error))

    async def _receive_chunk(self, chunk: Chunk) -> None:
        if self._misused:
            return  # the rest of a packet
        if not self._chunks.admits(asyncio.get_running_loop().time()):
            self._drop("too_fast")
        elif isinstance(chunk, ForwardTsnChunk):
            self._drop("unsupported")
        elif isinstance(chunk, SackChunk) and not self._may_acknowledge(chunk):
            self._drop("never_sent")
        else:
            await super()._receive_chunk(chunk)

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        if self._has_room_for(chunk):
            await super()._receive_data_chunk(chunk)
        else:
            self._drop("beyond_window")
            self._sack_needed = True  # so that the sender retransmits the rest

    async def _send_chunk(self, chunk: Chunk) -> None:
        try:
            await super()._send_chunk(chunk)
        except SSL.Error as error:
            # A caller can bring DTLS into a state in which it cannot send. aiortc only handles closed connections.
            raise ConnectionError("DTLS can no longer send") from error

    def _may_acknowledge(self, sack: SackChunk) -> bool:
        """Refuses gap blocks beyond what we sent: one may name 65,536 chunks, and aiortc makes a set of them."""
        sent = (self._local_tsn - 1 - sack.cumulative_tsn) % _TSN_MODULO
        if sent >= _TSN_MODULO // 2:
            return False
        named = sum(last - first + 1 for first, last in sack.gaps)
        return named <= sent and all(0 < first <= last <= sent for first, last in sack.gaps)

    def _has_room_for(self, chunk: DataChunk) -> bool:
        ahead = (chunk.tsn - self._last_received_tsn) % _TSN_MODULO
        if ahead == 0 or ahead >= _TSN_MODULO // 2:
            return True  # a duplicate: acknowledged again, not kept
        # The set is bounded too: after another INIT its entries may lie beyond the window.
        if ahead > TSN_WINDOW or (ahead > 1 and len(self._sack_misordered) >= TSN_WINDOW):
            return False
        held = sum(len(stream.reassembly) for stream in self._inbound_streams.values())
        held_bytes = _WINDOW_BYTES - self._advertised_rwnd
        return bool(held < _MAX_HELD_CHUNKS and held_bytes + len(chunk.user_data) <= _MAX_HELD_BYTES)

    def _check_held(self) -> None:
        """Bounds unfinished messages and streams. Called once per packet."""
        if max(len(self._inbound_streams), len(self._data_channels)) > MAX_STREAMS:
            self.end("too_many_channels", f"more than {MAX_STREAMS} streams")
            return
        held_bytes = 0
        for stream in self._inbound_streams.values():
            message_bytes, next_tsn = 0, None
            for chunk in stream.reassembly:
                size = len(chunk.user_data)
                held_bytes += size
                message_bytes = size + (message_bytes if chunk.tsn == next_tsn else 0)
                if message_bytes > MAX_MESSAGE_SIZE:
                    self.end("message_too_large", f"a message of more than {MAX_MESSAGE_SIZE} bytes")
                    return
                next_tsn = None if chunk.flags & SCTP_DATA_LAST_FRAG else (chunk.tsn + 1) % _TSN_MODULO
        # Recomputed, because aiortc does not release what a reset stream held.
        self._advertised_rwnd = _WINDOW_BYTES - held_bytes

    def _drop(self, why: str) -> None:
        self.dropped += 1
        _dropped.labels(why).inc()


async def send_what_is_dropped(sender: BoundedSctp) -> int:
    """For the self-test: one packet or chunk for each method that aiortc must route received data through."""
    await sender.transport._send_data(b"malformed")
    forward = ForwardTsnChunk()
    forward.cumulative_tsn = (sender._local_tsn - 1) % _TSN_MODULO  # no effect, if it were read
    await sender._send_chunk(forward)
    far_ahead = DataChunk(flags=SCTP_DATA_LAST_FRAG)
    far_ahead.tsn, far_ahead.user_data = (sender._local_tsn + 2 * TSN_WINDOW) % _TSN_MODULO, b"far"
    await sender._send_chunk(far_ahead)
    return 3
