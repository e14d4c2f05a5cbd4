from collections.abc import Callable

import pytest

from pipeline_worker.media_link import MediaLink
from shared import keys
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    FlushPlayout,
    MediaAttached,
    PipelineAttached,
    PipelineLeaving,
    PublishEvent,
    TextReceived,
    TextsMissed,
)
from shared.frames import AudioFrame
from shared.wire import Item


@pytest.mark.parametrize(
    ("say", "item"),
    [
        (lambda link: link.attach("p1"), PipelineAttached(session="s1", epoch=3, pipeline_worker="p1")),
        (lambda link: link.leave(), PipelineLeaving(session="s1", epoch=3)),
        (
            lambda link: link.publish("transcript", role="user", text="hi"),
            PublishEvent(session="s1", epoch=3, type="transcript", fields={"role": "user", "text": "hi"}, number=1),
        ),
        (
            lambda link: link.publish_status("thinking"),
            PublishEvent(session="s1", epoch=3, type="status", fields={"status": "thinking"}, number=1),
        ),
        (
            lambda link: link.publish_error("engine_failed", "hoarse"),
            PublishEvent(
                session="s1", epoch=3, type="error", fields={"code": "engine_failed", "message": "hoarse"}, number=1
            ),
        ),
        (lambda link: link.send_audio(7, 480, 24_000, b"\0\0"), AudioFrame("s1", 3, 7, 480, 24_000, 1, b"\0\0")),
        (lambda link: link.end_speech(960), AgentSpeechEnded(session="s1", epoch=3, end_sample=960)),
        (lambda link: link.flush_playout(), FlushPlayout(session="s1", epoch=3)),
        (
            lambda link: link.end_session("agent_hangup", after_playout=True),
            EndSession(session="s1", epoch=3, reason="agent_hangup", after_playout=True),
        ),
    ],
)
def test_everything_goes_to_the_sessions_media_worker_under_its_epoch(
    say: Callable[[MediaLink], None], item: Item
) -> None:
    sent: list[tuple[str, Item]] = []
    say(MediaLink(lambda key, item: sent.append((key, item)), "m1", "s1", 3))
    assert sent == [(keys.inbox("media", "m1"), item)]


def attached(generation: int, published: int = 0) -> MediaAttached:
    return MediaAttached(session="s1", media_worker="m2", generation=generation, published=published)


def test_a_new_media_worker_gets_the_events_that_the_client_may_have_missed() -> None:
    sent: list[tuple[str, Item]] = []
    link = MediaLink(lambda key, item: sent.append((key, item)), "m1", "s1", 3, published=7)
    link.publish("transcript", role="user", text="hi")
    link.publish("transcript-partial", role="agent", text="He")
    link.publish_status("speaking")
    sent.clear()
    assert link.move_to(attached(2, published=8))
    assert [(key, item.number) for key, item in sent if isinstance(item, PublishEvent)] == [
        (keys.inbox("media", "m2"), 10)
    ]
    link.publish_status("listening")
    assert [item.number for key, item in sent if isinstance(item, PublishEvent)] == [10, 11]
    assert link.media_worker == "m2"


def test_an_old_media_worker_that_attaches_late_is_ignored() -> None:
    sent: list[tuple[str, Item]] = []
    link = MediaLink(lambda key, item: sent.append((key, item)), "m1", "s1", 3, generation=2)
    link.publish_status("listening")
    assert not link.move_to(attached(2))
    assert not link.move_to(attached(1))
    assert (link.media_worker, len(sent)) == ("m1", 1)


def test_a_worker_that_was_replaced_says_nothing_more() -> None:
    sent: list[tuple[str, Item]] = []
    link = MediaLink(lambda key, item: sent.append((key, item)), "m1", "s1", 3)
    link.silence()
    link.publish_status("listening")
    link.end_session("server_shutdown")
    assert sent == []


def test_what_a_tool_did_was_never_shown_because_its_message_was_lost() -> None:
    """A repeated status of the past would stay on the page."""
    sent: list[Item] = []
    link = MediaLink(lambda _, item: sent.append(item), "m1", "s1", 3)
    link.publish_status("thinking")
    link.publish("transcript", role="user", text="book a table")
    link.publish("tool-call", id="1", name="book")
    link.publish("transcript-partial", role="agent", text="I")
    link.publish_status("speaking")
    link.publish("tool-result", id="1", ok=True)
    link.publish_status("listening")
    sent.clear()
    link.repeat(published=2)
    again = [(item.number, item.type, item.fields.get("status")) for item in sent if isinstance(item, PublishEvent)]
    assert again == [(3, "tool-call", None), (6, "tool-result", None), (8, "status", "listening")]


def test_nothing_is_repeated_for_a_media_worker_that_has_everything() -> None:
    sent: list[Item] = []
    link = MediaLink(lambda _, item: sent.append(item), "m1", "s1", 3)
    link.publish_status("listening")
    sent.clear()
    link.repeat(published=1)
    assert sent == []
    link.end_session("agent_hangup", after_playout=True)
    link.repeat(published=1)
    assert sent == [EndSession(session="s1", epoch=3, reason="agent_hangup")] * 2


def test_a_text_that_was_sent_again_is_taken_once() -> None:
    sent: list[Item] = []
    link = MediaLink(lambda _, item: sent.append(item), "m1", "s1", 3)
    assert link.is_new(TextReceived(session="s1", text="hi")), "a media worker of the last version numbers none"
    assert [link.is_new(TextReceived(session="s1", text="hi", number=n)) for n in (1, 1, 3, 2)] == [
        True,
        False,
        True,
        False,
    ]
    link.ask_for_texts()
    assert sent == [TextsMissed(session="s1", epoch=3, received=3)]
    link.move_to(attached(2))
    assert link.is_new(TextReceived(session="s1", text="hi", number=1)), "a new media worker counts from 1"
