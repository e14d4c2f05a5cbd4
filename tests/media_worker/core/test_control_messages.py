import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.control_messages import (
    MAX_MESSAGE_BYTES,
    MAX_TEXT,
    Interrupt,
    Mute,
    Ping,
    Talk,
    Text,
    for_pipeline,
    parse_control,
)
from shared.errors import PeerError
from shared.events import InterruptRequested, Message, MuteChanged, TalkChanged, TextReceived


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "text", "text": "hi"}, Text(type="text", text="hi")),
        ({"type": "text", "data": {"text": "hi"}}, Text(type="text", text="hi")),
        ({"type": "text", "text": "flat", "data": {"text": "nested"}}, Text(type="text", text="flat")),
        ({"type": "interrupt"}, Interrupt(type="interrupt")),
        ({"type": "interrupt", "data": None, "unknown": 1}, Interrupt(type="interrupt")),
        ({"type": "mute"}, Mute(type="mute", muted=True)),
        ({"type": "mute", "data": {"muted": False}}, Mute(type="mute", muted=False)),
        ({"type": "talk", "pressed": True}, Talk(type="talk", pressed=True)),
        ({"type": "talk", "data": {"pressed": False}}, Talk(type="talk", pressed=False)),
        ({"type": "ping", "id": 7}, Ping(type="ping", id=7)),
        ({"type": "ping", "id": "a"}, Ping(type="ping", id="a")),
        ({"type": "ping"}, Ping(type="ping", id=None)),
    ],
)
def test_reads_flat_and_nested_fields(message: dict[str, Any], expected: object) -> None:
    assert parse_control(json.dumps(message)) == expected


@pytest.mark.parametrize("message_type", ["transcript", "", "Text", "\ud800"])
def test_an_unknown_type_is_ignored(message_type: str) -> None:
    assert parse_control(json.dumps({"type": message_type})) is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("[" * 10_000, "bad_json"),
        ("9" * 5_000, "bad_json"),
        ("[]", "bad_message"),
        ('"text"', "bad_message"),
        ("{}", "bad_message"),
        ('{"type": 1}', "bad_message"),
        ('{"type": ["text"]}', "bad_message"),
        ('{"type": "text"}', "bad_message"),
        ('{"type": "text", "text": ""}', "bad_message"),
        ('{"type": "text", "text": 5}', "bad_message"),
        (json.dumps({"type": "text", "text": "x" * (MAX_TEXT + 1)}), "bad_message"),
        ('{"type": "mute", "muted": "perhaps"}', "bad_message"),
        ('{"type": "talk"}', "bad_message"),
        ('{"type": "ping", "id": {}}', "bad_message"),
        ('{"type": "ping", "id": "' + "x" * 65 + '"}', "bad_message"),
        ('{"type": "ping", "id": Infinity}', "bad_message"),
        ('{"type": "ping", "id": NaN}', "bad_message"),
        (" " * (MAX_MESSAGE_BYTES + 1), "message_too_large"),
    ],
)
def test_says_what_is_wrong(message: str, code: str) -> None:
    with pytest.raises(PeerError) as raised:
        parse_control(message)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('{"type": "text", "text": "hello"}', TextReceived(session="s1", text="hello")),
        ('{"type": "interrupt"}', InterruptRequested(session="s1")),
        ('{"type": "talk", "pressed": true}', TalkChanged(session="s1", pressed=True)),
        ('{"type": "mute", "muted": false}', MuteChanged(session="s1", muted=False)),
        ('{"type": "ping", "id": 1}', None),
    ],
)
def test_all_control_messages_but_pings_go_to_the_pipeline_worker(message: str, told: Message | None) -> None:
    control = parse_control(message)
    assert control is not None
    assert for_pipeline("s1", control) == told


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "interrupt", "talk", "mute", "ping", "other"])},
    optional={
        "text": json_values,
        "muted": json_values,
        "pressed": json_values,
        "id": json_values,
        "data": json_values,
    },
)


@given(st.one_of(st.text(), messages.map(json.dumps), json_values.map(json.dumps)))
def test_anything_is_read_or_refused_with_a_code(message: str) -> None:
    try:
        control = parse_control(message)
    except PeerError as error:
        assert error.code in ("bad_json", "bad_message", "message_too_large")
        error.message.encode()
        return
    if isinstance(control, Ping):
        # What goes back is JSON for a browser, which knows no Infinity.
        json.dumps({"id": control.id}, allow_nan=False, ensure_ascii=False).encode()
    if isinstance(control, Text):
        control.text.encode()
