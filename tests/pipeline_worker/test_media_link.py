from collections.abc import Callable

import pytest

from pipeline_worker.media_link import MediaLink
from shared import keys
from shared.events import AgentSpeechEnded, EndSession, FlushPlayout, PipelineAttached, PublishEvent
from shared.frames import AudioFrame
from shared.wire import Item


@pytest.mark.parametrize(
    ("say", "item"),
    [
        (lambda link: link.attach("p1"), PipelineAttached(session="s1", epoch=3, pipeline_worker="p1")),
        (
            lambda link: link.publish("transcript", role="user", text="hi"),
            PublishEvent(session="s1", epoch=3, type="transcript", fields={"role": "user", "text": "hi"}),
        ),
        (
            lambda link: link.publish_status("thinking"),
            PublishEvent(session="s1", epoch=3, type="status", fields={"status": "thinking"}),
        ),
        (
            lambda link: link.publish_error("engine_failed", "hoarse"),
            PublishEvent(session="s1", epoch=3, type="error", fields={"code": "engine_failed", "message": "hoarse"}),
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
