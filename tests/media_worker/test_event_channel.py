import json
from typing import Any, cast

from media_worker.event_channel import EventChannel
from shared import keys
from shared.events import ClientEventSent, SessionClosed, client_event
from shared.io.outbox import Outbox


class Client:
    """What goes out on the data channel, to each gateway and into the record."""

    def __init__(self, seq: int = 0, published: int = 0) -> None:
        self.on_channel: list[dict[str, Any]] = []
        self.to_gateway: dict[str, list[dict[str, Any]]] = {}
        self.recorded: list[tuple[str, int]] = []
        self.events = EventChannel(
            "s1",
            cast(Outbox, cast(Any, self)),
            lambda text: self.on_channel.append(json.loads(text)),
            lambda event, number: self.recorded.append((event["type"], number)),
            seq,
            published,
        )
        self.events.attach("g1")

    def send(self, inbox: str, message: ClientEventSent | SessionClosed) -> None:
        told = message.event if isinstance(message, ClientEventSent) else {"text": message.reason}
        self.to_gateway.setdefault(inbox, []).append(told)

    def at(self, gateway: str) -> list[dict[str, Any]]:
        return self.to_gateway.get(keys.inbox("gateway", gateway), [])


def test_events_are_numbered_and_the_same_on_both_ways() -> None:
    client = Client()
    client.events.open()
    client.events.publish("status", {"status": "connecting"})
    client.events.publish_error("no_pipeline", "Später")
    assert client.on_channel == client.at("g1")
    assert client.on_channel == [
        client_event("status", 1, {"status": "connecting"}),
        client_event("error", 2, {"code": "no_pipeline", "message": "Später"}),
    ]


def test_the_newest_hundred_events_wait_for_the_data_channel() -> None:
    client = Client()
    for n in range(110):
        client.events.publish("status", {"n": n})
    assert (len(client.at("g1")), client.on_channel) == (110, [])
    client.events.open()
    assert [event["seq"] for event in client.on_channel] == list(range(11, 111))


def test_final_events_are_recorded_with_the_number_of_the_pipeline_worker() -> None:
    client = Client()
    client.events.publish("status", {"status": "connecting"})
    client.events.publish("transcript-partial", {"text": "a ta"}, number=1)
    client.events.publish("transcript", {"text": "a table"}, number=2)
    client.events.publish("metrics", {"turn": 1}, number=3)
    client.events.publish("goaway", {"timeLeftMs": 1})
    assert client.recorded == [("status", 0), ("transcript", 2)]
    assert client.events.published == 3


def test_a_session_that_moved_here_goes_on_with_its_numbers() -> None:
    client = Client(seq=7_001, published=7)
    assert client.events.published == 7
    client.events.publish("status", {"status": "reconnecting"})
    client.events.publish("transcript", {"text": "hello"}, number=8)
    assert [event["seq"] for event in client.at("g1")] == [7_102, 8_000]
    assert client.events.published == 8


def test_an_event_that_two_media_workers_send_while_a_session_moves_is_the_same_to_its_client() -> None:
    """The new one's first events had the numbers of other events of the old one, and the client dropped them."""
    before, after = Client(seq=3_000), Client(seq=3_000)
    before.events.publish("goaway", {"timeLeftMs": 1})
    for number in (4, 5):
        before.events.publish("transcript", {"text": f"{number}"}, number)
    for number in (4, 5, 6):
        after.events.publish("transcript", {"text": f"{number}"}, number)
    sent = {event["seq"]: event["text"] for event in before.at("g1")[1:]}
    assert sent.items() <= {event["seq"]: event["text"] for event in after.at("g1")}.items()
    after.events.publish("status", {"status": "reconnecting"})
    assert before.at("g1")[0]["seq"] not in [event["seq"] for event in after.at("g1")]


def test_an_event_that_the_client_has_seen_is_not_sent_again_after_a_move() -> None:
    client = Client(seq=9_000, published=7)  # 8 and 9 reached the client, and not the record
    for number in (8, 9, 10):
        client.events.publish("transcript", {"text": f"{number}"}, number)
    assert [event["seq"] for event in client.at("g1")] == [10_000]


def test_events_of_our_own_without_end_keep_growing_numbers() -> None:
    client = Client()
    for number in (1, 0, *([0] * 2_500), 2, 3, 4):
        client.events.publish("status", {}, number)
    seqs = [event["seq"] for event in client.at("g1")]
    assert seqs == sorted(set(seqs))
    assert seqs[-1] == 4_000


def test_a_lost_event_comes_late_and_what_is_repeated_without_need_comes_once() -> None:
    client = Client(published=3)
    client.events.expect_repeats()
    client.events.publish("transcript", {"text": "five"}, number=5)
    for number, text in ((4, "four"), (5, "five"), (4, "four")):
        client.events.publish("transcript", {"text": text}, number=number)
    client.events.publish_error("no_pipeline", "ours has no number")
    assert [event.get("text") for event in client.at("g1")] == ["five", "four", None]
    assert client.recorded == [("transcript", 5), ("transcript", 4), ("error", 0)]


def test_another_pipeline_worker_may_count_from_where_it_knows() -> None:
    """It may not have got the number of the last event of its predecessor."""
    client = Client(published=3)
    client.events.expect_repeats()
    client.events.expect_no_repeats()
    client.events.publish("transcript", {"text": "hello"}, number=3)
    assert [event["text"] for event in client.at("g1")] == ["hello"]


def test_events_go_to_the_gateway_of_the_last_websocket_and_another_one_is_told_to_close_its_own() -> None:
    client = Client()
    for gateway in ("g1", "g2", "g2"):
        client.events.attach(gateway)
        client.events.publish("transcript", {"text": f"for {gateway}"})
    client.events.detach()
    client.events.publish("transcript", {"text": "for nobody"})
    client.events.attach("g3")
    assert [event["text"] for event in client.at("g1")] == ["for g1", "replaced"]
    assert [event["text"] for event in client.at("g2")] == ["for g2", "for g2"]
    assert client.at("g3") == []
