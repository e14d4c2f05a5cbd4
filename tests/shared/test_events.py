import typing

import pytest
from pydantic import TypeAdapter, ValidationError

from shared import events
from shared.events import AnyMessage, EndSession, Message, client_event

MESSAGES: tuple[type[Message], ...] = typing.get_args(typing.get_args(AnyMessage)[0])
any_message: TypeAdapter[Message] = TypeAdapter(AnyMessage)


def test_every_message_of_the_module_can_be_read() -> None:
    defined = {
        each
        for each in vars(events).values()
        if isinstance(each, type) and issubclass(each, Message) and "kind" in each.model_fields
    }
    assert defined == set(MESSAGES)


def test_kinds_are_unique_and_say_the_class_name() -> None:
    kinds = {message.model_fields["kind"].default: message.__name__ for message in MESSAGES}
    assert len(kinds) == len(MESSAGES)
    assert all(kind.replace("-", "") == name.lower() for kind, name in kinds.items())


def test_a_newer_senders_field_is_ignored_and_an_older_ones_absence_has_a_default() -> None:
    data = {"kind": "end-session", "session": "s", "epoch": 1, "field_of_tomorrow": 1}
    assert any_message.validate_python(data) == EndSession(session="s", epoch=1, reason="agent_hangup")


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "end-session", "session": "", "epoch": 1},
        {"kind": "end-session", "session": "s" * 65, "epoch": 1},
        {"kind": "end-session", "session": "s"},
        {"kind": "unknown", "session": "s"},
        {"session": "s"},
        {"kind": "playout-reported", "session": "s", "played_up_to": 1, "state": "asleep"},
    ],
)
def test_data_that_is_not_a_message_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        any_message.validate_python(data)


def test_client_events_have_their_fields_flat_for_the_specifications_javascript_and_under_data_for_its_server() -> None:
    assert client_event("transcript", 7, {"role": "user", "text": "hello"}) == {
        "type": "transcript",
        "seq": 7,
        "role": "user",
        "text": "hello",
        "data": {"role": "user", "text": "hello"},
    }


def test_a_field_cannot_replace_the_type_or_seq_of_a_client_event() -> None:
    event = client_event("status", 1, {"type": "forged", "seq": 99})
    assert (event["type"], event["seq"]) == ("status", 1)
