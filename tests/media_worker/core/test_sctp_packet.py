from struct import pack

import pytest
from aiortc.rtcsctptransport import (
    AbortChunk,
    Chunk,
    CookieAckChunk,
    CookieEchoChunk,
    DataChunk,
    ForwardTsnChunk,
    HeartbeatChunk,
    InitChunk,
    ReconfigChunk,
    SackChunk,
    ShutdownAckChunk,
    ShutdownChunk,
    StreamResetOutgoingParam,
    StreamResetResponseParam,
    parse_packet,
    serialize_packet,
)
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.sctp_packet import is_well_formed

HEADER = bytes(12)


class Written(Chunk):
    """Chunks as bytes, for the sake of a packet with a right checksum."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def __bytes__(self) -> bytes:
        return self._body


def chunk(chunk_type: int, value: bytes, length: int | None = None) -> bytes:
    padding = bytes(-len(value) % 4)
    return pack("!BBH", chunk_type, 3, len(value) + 4 if length is None else length) + value + padding


def parameter(parameter_type: int, value: bytes, length: int | None = None) -> bytes:
    return pack("!HH", parameter_type, len(value) + 4 if length is None else length) + value


def data(words: bytes) -> DataChunk:
    made = DataChunk(flags=3)
    made.user_data = words
    return made


def sack(gaps: int, duplicates: int) -> SackChunk:
    made = SackChunk()
    made.gaps, made.duplicates = [(n * 2 + 1, n * 2 + 1) for n in range(gaps)], [1] * duplicates
    return made


def with_parameters(made: InitChunk | ReconfigChunk | HeartbeatChunk, *values: tuple[int, bytes]) -> Chunk:
    made.params.extend(values)
    return made


@pytest.mark.parametrize(
    "made",
    [
        data(b"x"),
        data(b"words" * 200),
        sack(0, 0),
        sack(3, 2),
        with_parameters(InitChunk(), (0xC000, b""), (0x8008, b"\xc0\x82"), (7, bytes(24))),
        with_parameters(HeartbeatChunk(), (1, bytes(21))),
        with_parameters(ReconfigChunk(), (13, bytes(StreamResetOutgoingParam(1, 2, 3, [0, 1, 2])))),
        with_parameters(ReconfigChunk(), (16, bytes(StreamResetResponseParam(1, 1)))),
        CookieEchoChunk(body=bytes(24)),
        CookieAckChunk(),
        ShutdownChunk(),
        ShutdownAckChunk(),
        AbortChunk(),
        ForwardTsnChunk(),
    ],
    ids=lambda made: type(made).__name__,
)
def test_what_a_peer_sends_is_well_formed(made: Chunk) -> None:
    assert is_well_formed(serialize_packet(5_000, 5_000, 1, made))


def test_chunks_may_be_bundled_but_not_with_an_init() -> None:
    both = [bytes(sack(1, 0)), bytes(data(b"odd"))]
    assert is_well_formed(HEADER + b"".join(both))
    assert not is_well_formed(HEADER + b"".join([*both, bytes(InitChunk())]))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="no chunk"),
        pytest.param(b"\0\3", id="half a header"),
        pytest.param(chunk(0, bytes(12)), id="data without data"),
        pytest.param(chunk(0, b""), id="data without anything"),
        pytest.param(chunk(0, bytes(20), length=3), id="shorter than its header"),
        pytest.param(chunk(0, bytes(20), length=200), id="longer than the packet"),
        pytest.param(chunk(1, bytes(12)), id="half an INIT"),
        pytest.param(
            chunk(2, bytes(16) + parameter(7, bytes(4), length=0)), id="INIT ACK with a parameter of length 0"
        ),
        pytest.param(chunk(3, bytes(8) + pack("!HH", 1, 0)), id="SACK without the gap it counts"),
        pytest.param(chunk(3, bytes(8) + pack("!HH", 0xFFFF, 0xFFFF) + bytes(8)), id="SACK that counts too much"),
        pytest.param(chunk(4, parameter(1, bytes(8), length=0)), id="heartbeat with a parameter of length 0"),
        pytest.param(chunk(4, parameter(1, bytes(8), length=3)), id="heartbeat with a parameter of length 3"),
        pytest.param(chunk(9, parameter(1, bytes(8), length=13)), id="cause longer than the chunk"),
        pytest.param(chunk(7, b""), id="shutdown of nothing"),
        pytest.param(chunk(130, parameter(13, bytes(11))), id="reset without its numbers"),
        pytest.param(chunk(130, parameter(13, bytes(13))), id="reset of half a stream"),
        pytest.param(chunk(130, parameter(16, bytes(4))), id="response without a result"),
        pytest.param(chunk(130, parameter(16, bytes(8)) * 3), id="more requests than two"),
        pytest.param(chunk(192, bytes(6)), id="half a stream is forwarded"),
    ],
)
def test_what_aiortc_would_choke_on_is_not(body: bytes) -> None:
    assert not is_well_formed(HEADER + body)


@given(st.lists(st.tuples(st.sampled_from([*range(15), 130, 192]), st.binary(max_size=60)), min_size=1, max_size=5))
def test_aiortc_can_read_whatever_is_well_formed(chunks: list[tuple[int, bytes]]) -> None:
    body = b"".join(chunk(*each) for each in chunks)
    if is_well_formed(HEADER + body):
        assert parse_packet(serialize_packet(5_000, 5_000, 1, Written(body)))[:3] == (5_000, 5_000, 1)
