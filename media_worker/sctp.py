"""aiortc's SCTP with bounds: what one caller sends must not cost the others their time, nor the process its memory.

aiortc advertises a receive window and takes whatever comes; it searches all that it holds for each chunk, and keeps a
stream for each number it is told. A sender that keeps to RFC 9260 does not come near the bounds here. What is over
them is dropped, as if the network had lost it; what no mistake explains ends the session.
"""

import asyncio
import struct
from collections.abc import Callable

from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import (
    SCTP_DATA_LAST_FRAG,
    Chunk,
    DataChunk,
    ForwardTsnChunk,
    RTCSctpTransport,
    SackChunk,
)
from OpenSSL import SSL
from prometheus_client import Counter

from media_worker.core.rate_limiter import RateLimiter
from media_worker.core.sctp_packet import is_well_formed
from media_worker.core.sdp_answer import MAX_MESSAGE_SIZE

MAX_STREAMS = 16
TSN_WINDOW = 128
"""Chunks ahead of the first that is missing; more than twice what the longest message takes."""
_MAX_HELD_CHUNKS = 2 * TSN_WINDOW
_WINDOW_BYTES = 96 * 1024
_MAX_HELD_BYTES = 128 * 1024  # above the window: a sender in need may send a chunk more than it (RFC 9260 §6.1 A)
_CHUNKS_PER_S = _CHUNK_BURST = 1_000
"""At the worst a twentieth of a core; so much more than the control messages that are borne that a flood of those is
known for what it is."""
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
    """Calls `on_misuse(reason, details)` once, then takes nothing more."""

    def __init__(self, dtls: RTCDtlsTransport, on_misuse: Callable[[str, str], None]) -> None:
        super().__init__(dtls)
        for name in _RELIED_ON:
            getattr(self, name)  # raises if aiortc has renamed it, and the self-test says so
        self.dropped = 0
        self._on_misuse = on_misuse
        self._misused = False
        self._chunks = RateLimiter(_CHUNKS_PER_S, _CHUNK_BURST)
        self._advertised_rwnd = _WINDOW_BYTES
        # We do not offer FORWARD TSN (RFC 3758): a control channel has no use for messages that are given up, and each
        # such chunk names hundreds of streams to look through. Without it a sender gives up none (§3.3).
        self._local_partial_reliability = False

    def end(self, reason: str, details: str) -> None:
        """The caller has gone too far: nothing of his is read any more."""
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
            # aiortc asserts what callers ought to do, and decodes what they wrote.
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
            self._sack_needed = True  # says what we have, so that the rest is sent again

    async def _send_chunk(self, chunk: Chunk) -> None:
        try:
            await super()._send_chunk(chunk)
        except SSL.Error as error:
            # A caller can bring DTLS into a state in which nothing can be sent. aiortc knows only what is closed.
            raise ConnectionError("DTLS sends nothing any more") from error

    def _may_acknowledge(self, sack: SackChunk) -> bool:
        """Each gap block may name 65,536 chunks, of which aiortc makes a set; we never send as many."""
        sent = (self._local_tsn - 1 - sack.cumulative_tsn) % _TSN_MODULO
        if sent >= _TSN_MODULO // 2:
            return False
        named = sum(last - first + 1 for first, last in sack.gaps)
        return named <= sent and all(0 < first <= last <= sent for first, last in sack.gaps)

    def _has_room_for(self, chunk: DataChunk) -> bool:
        ahead = (chunk.tsn - self._last_received_tsn) % _TSN_MODULO
        if ahead == 0 or ahead >= _TSN_MODULO // 2:
            return True  # a repetition: acknowledged again, not kept
        # The set is counted too: after another INIT what is in it may be farther ahead than the window.
        if ahead > TSN_WINDOW or (ahead > 1 and len(self._sack_misordered) >= TSN_WINDOW):
            return False
        held = sum(len(stream.reassembly) for stream in self._inbound_streams.values())
        held_bytes = _WINDOW_BYTES - self._advertised_rwnd
        return bool(held < _MAX_HELD_CHUNKS and held_bytes + len(chunk.user_data) <= _MAX_HELD_BYTES)

    def _check_held(self) -> None:
        """Once per packet: what is there that nothing finishes?"""
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
        # Told anew, because aiortc does not give back what a stream held that was reset.
        self._advertised_rwnd = _WINDOW_BYTES - held_bytes

    def _drop(self, why: str) -> None:
        self.dropped += 1
        _dropped.labels(why).inc()


async def send_what_is_dropped(sender: BoundedSctp) -> int:
    """For the self-test: a packet or chunk for each method through which aiortc must pass what it receives."""
    await sender.transport._send_data(b"malformed")
    forward = ForwardTsnChunk()
    forward.cumulative_tsn = (sender._local_tsn - 1) % _TSN_MODULO  # nothing new, were it read
    await sender._send_chunk(forward)
    far_ahead = DataChunk(flags=SCTP_DATA_LAST_FRAG)
    far_ahead.tsn, far_ahead.user_data = (sender._local_tsn + 2 * TSN_WINDOW) % _TSN_MODULO, b"far"
    await sender._send_chunk(far_ahead)
    return 3
