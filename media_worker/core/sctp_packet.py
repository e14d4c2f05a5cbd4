"""Checks that an SCTP packet is well-formed (RFC 9260) before aiortc reads it.

aiortc checks the lengths of chunks but trusts all lengths and counts inside a chunk: a parameter of length 0 makes it
loop forever, a missing field raises an exception that it does not catch.
"""

from struct import unpack_from

_COMMON_HEADER, _CHUNK_HEADER = 12, 4
_DATA, _INIT, _INIT_ACK, _SACK, _SHUTDOWN, _RECONFIG, _FORWARD_TSN = 0, 1, 2, 3, 7, 130, 192
_SHORTEST = {_DATA: 13, _INIT: 16, _INIT_ACK: 16, _SACK: 12, _SHUTDOWN: 4, _FORWARD_TSN: 4}
"""Bytes after the chunk's header (RFC 9260 §3.3); a DATA chunk without data is an error too (§3.3.1)."""
_PARAMETERS_AT = {_INIT: 16, _INIT_ACK: 16, 4: 0, 5: 0, 6: 0, 9: 0, _RECONFIG: 0}
"""Where in a chunk's value its parameters or error causes start."""
_MOST_RECONFIG_PARAMETERS = 2  # RFC 6525 §3.1
_RESET_OUTGOING, _RESET_RESPONSE, _ADD_OUTGOING = 13, 16, 17
_SHORTEST_RECONFIG = {_RESET_OUTGOING: 12, _RESET_RESPONSE: 8, _ADD_OUTGOING: 8}


def is_well_formed(packet: bytes) -> bool:
    """Whether every length and count is correct. The checksum and the values are left to the receiver."""
    at, types = _COMMON_HEADER, []
    while at <= len(packet) - _CHUNK_HEADER:
        chunk_type, _, length = unpack_from("!BBH", packet, at)
        if length < _CHUNK_HEADER or at + length > len(packet):
            return False
        if not _is_chunk(chunk_type, packet[at + _CHUNK_HEADER : at + length]):
            return False
        types.append(chunk_type)
        at += _padded(length)
    return bool(types) and (_INIT not in types or len(types) == 1)  # §4.1: INIT is never bundled


def _is_chunk(chunk_type: int, value: bytes) -> bool:
    if len(value) < _SHORTEST.get(chunk_type, 0):
        return False
    if chunk_type == _SACK:
        gaps, duplicates = unpack_from("!HH", value, 8)
        return bool(len(value) >= 12 + 4 * (gaps + duplicates))
    if chunk_type == _FORWARD_TSN:
        return len(value) % 4 == 0
    parameters_at = _PARAMETERS_AT.get(chunk_type)
    if parameters_at is None:
        return True
    parameters = _parameters(value[parameters_at:])
    if parameters is None:
        return False
    return chunk_type != _RECONFIG or _is_reconfig(parameters)


def _parameters(value: bytes) -> list[tuple[int, int]] | None:
    """(type, size of the value) of each parameter; None if a length is invalid (RFC 9260 §3.2.1)."""
    found, at = [], 0
    while at <= len(value) - 4:
        parameter_type, length = unpack_from("!HH", value, at)
        if length < 4 or at + length > len(value):
            return None
        found.append((parameter_type, length - 4))
        at += _padded(length)
    return found


def _is_reconfig(parameters: list[tuple[int, int]]) -> bool:
    if len(parameters) > _MOST_RECONFIG_PARAMETERS:
        return False
    return all(
        size >= _SHORTEST_RECONFIG.get(parameter_type, 0) and (parameter_type != _RESET_OUTGOING or size % 2 == 0)
        for parameter_type, size in parameters
    )


def _padded(length: int) -> int:
    return length + -length % 4
