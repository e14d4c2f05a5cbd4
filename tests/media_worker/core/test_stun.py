"""Vectors are those of RFC 5769; answers are read back by aioice, which browsers' peers are tested with."""

import struct

import pytest
from aioice import stun as aioice_stun
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.stun import (
    MAGIC_COOKIE,
    BindingRequest,
    StunError,
    StunRefusal,
    address_request,
    has_integrity,
    parse_mapped_address,
    parse_request,
    role_conflict_response,
    success_response,
)

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION_ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
"""RFC 5769 §2.1."""


def request_like(change: bytes = b"", at: int = 0, cut: int = 0) -> bytes:
    """The vector with bytes overwritten, or shortened with a length that still fits."""
    data = REQUEST[:at] + change + REQUEST[at + len(change) :]
    if not cut:
        return data
    return data[:2] + (len(data) - cut - 20).to_bytes(2, "big") + data[4:-cut]


def test_reads_the_vector_of_the_rfc() -> None:
    request = parse_request(REQUEST)
    assert request.transaction_id == TRANSACTION_ID
    assert request.local_ufrag == "evtj"
    assert request.sender_is_controlled
    assert not request.use_candidate


def test_integrity_of_the_vector_holds_with_its_password_only() -> None:
    request = parse_request(REQUEST)
    assert has_integrity(request, PASSWORD)
    assert not has_integrity(request, PASSWORD + "x")


@pytest.mark.parametrize("at", [8, 24, 42, 66, 80])
def test_a_changed_byte_breaks_the_integrity(at: int) -> None:
    changed = request_like(bytes([REQUEST[at] ^ 1]), at)
    try:
        request = parse_request(changed)
    except StunError:
        return
    assert not has_integrity(request, PASSWORD)


def test_integrity_holds_whether_or_not_a_fingerprint_follows() -> None:
    assert has_integrity(parse_request(request_like(cut=8)), PASSWORD)


def test_attributes_after_the_integrity_are_ignored() -> None:
    use_candidate = struct.pack("!HH", 0x0025, 0)
    data = REQUEST[:-8] + use_candidate
    data = data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]
    assert not parse_request(data).use_candidate


def test_reads_what_aioice_sends() -> None:
    message = aioice_stun.Message(
        message_method=aioice_stun.Method.BINDING,
        message_class=aioice_stun.Class.REQUEST,
        transaction_id=b"123456789012",
    )
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 7
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(b"secret-secret-secret-1")
    message.add_fingerprint()
    request = parse_request(bytes(message))
    assert request.local_ufrag == "ours"
    assert request.use_candidate
    assert not request.sender_is_controlled
    assert has_integrity(request, "secret-secret-secret-1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:19],
        REQUEST[:-1],
        REQUEST + b"\0",
        request_like(b"\x01\x01"),  # a response
        request_like(b"\0\0\0\0", 4),  # no magic cookie
        request_like(cut=32),  # no MESSAGE-INTEGRITY
        request_like(b"\xff\xff", 20 + 2),  # an attribute longer than the message
        request_like(b"\x00\x16", 60),  # no USERNAME
        request_like(b"xxxxxxxxx", 64),
        request_like(b"evtj:h6v\xff", 64),
        request_like(b"\0\x13", 78),
    ],
)
def test_refuses_what_is_not_a_signed_request(data: bytes) -> None:
    with pytest.raises(StunError):
        parse_request(data)


@given(st.binary(max_size=600))
def test_garbage_raises_stun_error_only(data: bytes) -> None:
    with pytest.raises(StunError):
        parse_request(data)


@given(st.lists(st.tuples(st.integers(0, len(REQUEST) - 1), st.integers(0, 255)), max_size=6), st.integers(0, 60))
def test_mutated_requests_raise_stun_error_only(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(REQUEST)
    for at, value in changes:
        data[at] = value
    shortened = bytes(data[: len(data) - cut])
    if len(shortened) >= 4 and cut % 4 == 0:
        shortened = shortened[:2] + max(0, len(shortened) - 20).to_bytes(2, "big") + shortened[4:]
    try:
        request = parse_request(shortened)
    except StunError:
        return
    assert isinstance(request, BindingRequest)


@given(
    st.lists(
        st.tuples(st.sampled_from([0x0006, 0x0008, 0x0025, 0x8029, 0x8028, 0x0001]), st.binary(max_size=40)), max_size=6
    )
)
def test_any_attributes_raise_stun_error_only(attributes: list[tuple[int, bytes]]) -> None:
    body = b"".join(struct.pack("!HH", kind, len(v)) + v + bytes(-len(v) % 4) for kind, v in attributes)
    data = struct.pack("!HHI12s", 1, len(body), MAGIC_COOKIE, TRANSACTION_ID) + body
    try:
        request = parse_request(data)
    except StunError:
        return
    assert not has_integrity(request, PASSWORD)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (("192.0.2.1", 32853), "0001a147e112a643"),
        (("2001:db8:1234:5678:11:2233:4455:6677", 32853), "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
    ],
)
def test_mapped_address_is_that_of_the_rfc(address: tuple[str, int], value: str) -> None:
    """RFC 5769 §2.2 and §2.3."""
    assert bytes.fromhex(value) in success_response(parse_request(REQUEST), address, PASSWORD)


@pytest.mark.parametrize("address", [("192.0.2.1", 1), ("2001:db8::5", 65_535), ("fe80::1%eth0", 9)])
def test_aioice_accepts_our_answer(address: tuple[str, int]) -> None:
    response = success_response(parse_request(REQUEST), address, PASSWORD)
    message = aioice_stun.parse_message(response)
    assert message.check_message_integrity(PASSWORD.encode())
    assert not message.check_message_integrity(b"another")
    assert message.transaction_id == TRANSACTION_ID
    assert message.message_class == aioice_stun.Class.RESPONSE
    assert message.attributes["XOR-MAPPED-ADDRESS"] == (address[0].partition("%")[0], address[1])


def test_aioice_accepts_our_refusal_of_its_role() -> None:
    message = aioice_stun.parse_message(role_conflict_response(parse_request(REQUEST), PASSWORD))
    assert message.check_message_integrity(PASSWORD.encode())
    assert message.message_class == aioice_stun.Class.ERROR
    assert message.error_code == 487


IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
"""RFC 5769 §2.2."""
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
"""RFC 5769 §2.3."""


@pytest.mark.parametrize(
    ("data", "address"),
    [(IPV4_RESPONSE, "192.0.2.1"), (IPV6_RESPONSE, "2001:db8:1234:5678:11:2233:4455:6677")],
)
def test_reads_the_address_of_the_responses_of_the_rfc(data: bytes, address: str) -> None:
    assert parse_mapped_address(data, TRANSACTION_ID) == (address, 32_853)
    with pytest.raises(StunError):
        parse_mapped_address(data, bytes(12))


def test_an_address_request_is_a_header() -> None:
    assert aioice_stun.parse_message(address_request(TRANSACTION_ID)).transaction_id == TRANSACTION_ID


def test_a_refusal_is_told_from_what_is_no_answer() -> None:
    with pytest.raises(StunRefusal):
        parse_mapped_address(b"\x01\x11\x00\x00" + IPV4_RESPONSE[4:20], TRANSACTION_ID)


@given(st.binary(max_size=80))
def test_any_answer_is_read_or_refused(body: bytes) -> None:
    data = IPV4_RESPONSE[:2] + len(body).to_bytes(2, "big") + IPV4_RESPONSE[4:20] + body
    try:
        parse_mapped_address(data, TRANSACTION_ID)
    except StunError:
        return
