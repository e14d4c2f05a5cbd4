from shared.client_events import client_event


def test_fields_are_flat_for_the_specifications_javascript_and_under_data_for_its_server() -> None:
    assert client_event("transcript", 7, {"role": "user", "text": "hello"}) == {
        "type": "transcript",
        "seq": 7,
        "role": "user",
        "text": "hello",
        "data": {"role": "user", "text": "hello"},
    }


def test_a_field_cannot_take_the_place_of_type_or_seq() -> None:
    event = client_event("status", 1, {"type": "forged", "seq": 99})
    assert (event["type"], event["seq"]) == ("status", 1)
