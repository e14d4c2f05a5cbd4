from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import WireError
from shared.events import Message, PublishEvent, SessionClosed
from shared.frames import AudioFrame, SilenceRun
from shared.wire import VERSION, Batch, Item, decode_batch, decode_message, encode_batch, encode_message
from tests.shared.test_events import MESSAGES

words = st.text(min_size=1, max_size=64)
numbers = st.integers(0, 2**63 - 1)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
audio = st.builds(
    AudioFrame,
    session=words,
    epoch=numbers,
    seq=numbers,
    first_sample=numbers,
    sample_rate=st.sampled_from([8_000, 16_000, 24_000, 48_000]),
    channels=st.just(1),
    pcm=st.integers(0, 50).map(lambda samples: bytes(samples * 2)),
)
silence = st.builds(SilenceRun, words, numbers, numbers, numbers, st.just(16_000), numbers)
by_annotation: dict[Any, st.SearchStrategy[Any]] = {
    int: numbers,
    str: words,
    dict[str, Any]: st.dictionaries(st.text(), json, max_size=3),
}


def any_of(message_type: type[Message]) -> st.SearchStrategy[Message]:
    fields = message_type.model_fields.items()
    known = {name: by_annotation[field.annotation] for name, field in fields if field.annotation in by_annotation}
    return st.builds(message_type, **known)


messages = st.one_of(*map(any_of, MESSAGES))
items: st.SearchStrategy[Item] = st.one_of(audio, silence, messages)


def batch_of(*packed: Any) -> bytes:
    """A batch with these raw items."""
    return bytes([VERSION]) + bytes(msgpack.packb(["sender", 2, 1, *packed]))


@given(words, numbers, numbers, st.lists(items, max_size=10))
def test_a_batch_comes_out_as_it_went_in(sender: str, number: int, previous: int, sent: list[Item]) -> None:
    assert decode_batch(encode_batch(sender, number, previous, sent)) == Batch(sender, number, previous, sent)


@given(messages)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    for payload in (garbage, bytes([VERSION]) + garbage):
        for decode in (decode_batch, decode_message):
            try:
                decode(payload)
            except WireError:
                continue


@given(st.lists(items, min_size=1, max_size=4), st.data())
def test_a_damaged_batch_is_refused_or_read_but_never_crashes_the_reader(sent: list[Item], data: st.DataObject) -> None:
    payload = bytearray(encode_batch("sender", 1, 0, sent))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_batch(bytes(payload))
    except WireError as error:
        assert error.message


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x01\x92\xa1s\x01"])
def test_another_version_is_named(payload: bytes) -> None:
    for decode in (decode_batch, decode_message):
        with pytest.raises(WireError) as error:
            decode(payload)
        assert error.value.code == "wire_version"


@pytest.mark.parametrize(
    "content",
    [
        None,
        5,
        [],
        ["sender"],
        ["sender", 2],
        [5, 2, 1],
        ["sender", "2", 1],
        ["sender", True, 1],
        ["sender", 2, "1"],
        {"a": 1},
    ],
)
def test_a_batch_begins_with_sender_and_numbers(content: Any) -> None:
    with pytest.raises(WireError):
        decode_batch(bytes([VERSION]) + bytes(msgpack.packb(content)))


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        [0],
        [9, "s"],
        [0, "s", 1, 1, 1, 16_000, 3, b""],
        [0, "s", 1, 1, 1, 16_000, 0, b""],
        [0, "s", 1, 1, 1, 16_000, 1, b"\0"],
        [0, "s", 1, 1, 1, 16_000, 2, b"\0\0\0\0"],
        [0, "s", 1, 1, 1, 0, 1, b"\0\0"],
        [0, "s", 1, 1, 1, 16_000, 1, "text"],
        [0, 5, 1, 1, 1, 16_000, 1, b""],
        [1, "s", 1, 1, 1, 16_000, -1],
        [1, "s", 1, 1, 1, 16_000],
        [1, "s", 1, -1, 1, 16_000, 1],
        [0, "s", 1, 1, -1, 16_000, 1, b"\0\0"],
        [2, {"kind": "unknown", "session": "s"}],
        [2, {"kind": "session-closed", "session": ""}],
        [2, "session-closed"],
    ],
)
def test_a_malformed_item_is_counted_and_the_rest_is_read(item: Any) -> None:
    good = SessionClosed(session="s")
    batch = decode_batch(batch_of(item, [2, good.model_dump()]))
    assert (batch.items, batch.malformed) == ([good], 1)


def test_data_with_keys_that_are_not_text_is_refused() -> None:
    with pytest.raises(WireError):
        decode_batch(batch_of([2, {1: "x"}]))
    with pytest.raises(WireError):
        decode_message(bytes([VERSION]) + bytes(msgpack.packb({1: "x"})))


def test_data_that_is_nested_too_deep_is_refused() -> None:
    deep = b"\x91" * 2_000 + b"\xc0"
    with pytest.raises(WireError):
        decode_batch(bytes([VERSION]) + deep)
    with pytest.raises(WireError):
        decode_message(bytes([VERSION]) + deep)


def test_lone_surrogates_and_huge_numbers_do_not_cost_the_batch() -> None:
    fields = {"text": "\ud83d", "arguments": {"customer": 10**24}}
    odd = PublishEvent(session="s", epoch=1, type="tool-call", fields=fields)
    whole = SessionClosed(session="t", reason="hangup")
    batch = decode_batch(encode_batch("me", 1, 0, [odd, whole]))
    assert batch.items[1] == whole
    (read,) = [item for item in batch.items if isinstance(item, PublishEvent)]
    assert read.fields == {"text": "?", "arguments": {"customer": str(10**24)}}
