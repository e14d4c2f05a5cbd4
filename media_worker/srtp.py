"""SRTP in place, with one buffer for incoming and one for outgoing packets.

pylibsrtp's own wrapper copies each packet twice. This calls the same library with the session that aiortc keyed.
"""

from typing import Any, NamedTuple

import pylibsrtp
from pylibsrtp._binding import ffi, lib

MAX_PACKET = 1_500
_BUFFER = 2_048

_rx = ffi.new("unsigned char[]", _BUFFER)
_tx = ffi.new("unsigned char[]", _BUFFER)
_length = ffi.new("int*")
_unprotect, _protect = lib.srtp_unprotect, lib.srtp_protect

rx_buffer = ffi.buffer(_rx)
tx_buffer = ffi.buffer(_tx)


def tx_pointer(offset: int, ffi_of_user: Any) -> Any:
    """A pointer `offset` bytes into the outgoing buffer, for another cffi instance (libopus')."""
    return ffi_of_user.cast("unsigned char*", int(ffi.cast("uintptr_t", _tx)) + offset)


class SrtpPair(NamedTuple):
    """Both directions of one session, as DTLS keyed them."""

    rx: "pylibsrtp.Session"
    tx: "pylibsrtp.Session"


class SrtpCodec:
    """Fast calls for both directions. All sessions share the buffers: use a result before the next call."""

    def __init__(self, pair: SrtpPair) -> None:
        self._pair = pair  # owns what the pointers below point to
        self._rx = pair.rx._srtp[0]
        self._tx = pair.tx._srtp[0]

    def unprotect(self, packet: bytes) -> int:
        """Decrypt into `rx_buffer`; the length, or -1 if it is forged, repeated or too old."""
        size = len(packet)
        if size > MAX_PACKET:
            return -1
        rx_buffer[0:size] = packet
        _length[0] = size
        if _unprotect(self._rx, _rx, _length):
            return -1
        plain: int = _length[0]
        return plain

    def protect(self, size: int) -> bytes:
        """Encrypt the `size` bytes at the start of `tx_buffer`."""
        _length[0] = size
        if _protect(self._tx, _tx, _length):
            raise RuntimeError("libsrtp could not protect a packet")  # only a wrong length does this, which is a bug
        protected: bytes = tx_buffer[0 : _length[0]]
        return protected

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """None if it is forged, repeated or too long."""
        if len(packet) > MAX_PACKET:
            return None
        try:
            plain: bytes = self._pair.rx.unprotect_rtcp(packet)
        except pylibsrtp.Error:
            return None
        return plain

    def protect_rtcp(self, packet: bytes) -> bytes:
        protected: bytes = self._pair.tx.protect_rtcp(packet)
        return protected
