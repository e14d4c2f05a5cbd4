from typing import Any, cast

from media_worker.pipeline_link import PipelineLink
from shared import keys
from shared.events import CallerConnected, FlushPlayout, PipelineAttached
from shared.frames import AudioFrame, SilenceRun
from shared.io.outbox import Outbox
from shared.wire import Item
from tests.fakes.counters import Gained


class RecordingOutbox:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Item]] = []

    def send(self, inbox: str, item: Item) -> None:
        self.sent.append((inbox, item))


def link() -> tuple[PipelineLink, RecordingOutbox]:
    outbox = RecordingOutbox()
    return PipelineLink(1, cast(Outbox, cast(Any, outbox))), outbox


def frame(seq: int, epoch: int = 1) -> AudioFrame:
    return AudioFrame("s1", epoch, seq, seq * 320, 16_000, 1, bytes(640))


async def test_frames_wait_for_the_pipeline_worker_and_then_carry_its_epoch() -> None:
    pipeline, outbox = link()
    silence = SilenceRun("s1", 1, 1, 320, 16_000, 320)
    pipeline.send_frame(frame(0))
    pipeline.send_frame(silence)
    assert (outbox.sent, pipeline.attached.is_set()) == ([], False)
    pipeline.attach("p1", 2)
    pipeline.send_waiting_frames()
    inbox = keys.inbox("pipeline", "p1")
    assert outbox.sent == [(inbox, frame(0, epoch=2)), (inbox, silence._replace(epoch=2))]
    assert pipeline.attached.is_set()


async def test_two_seconds_of_frames_are_kept_the_oldest_go() -> None:
    pipeline, outbox = link()
    for seq in range(150):
        pipeline.send_frame(frame(seq))
    pipeline.attach("p1", 1)
    pipeline.send_waiting_frames()
    assert [cast(AudioFrame, item).seq for _, item in outbox.sent] == list(range(50, 150))


async def test_messages_go_to_the_worker_that_attached_last_and_to_nobody_before() -> None:
    pipeline, outbox = link()
    message = CallerConnected(session="s1")
    pipeline.send(message)
    pipeline.attach("p1", 1)
    pipeline.attach("p2", 2)
    pipeline.send(message)
    assert outbox.sent == [(keys.inbox("pipeline", "p2"), message)]


async def test_what_an_earlier_worker_sends_is_refused_and_counted() -> None:
    pipeline, _ = link()
    pipeline.attach("p2", 2)
    stale = Gained("antiphon_media_stale_epoch_total")
    assert not pipeline.accepts(frame(0, epoch=1))
    assert not pipeline.accepts(FlushPlayout(session="s1", epoch=1))
    assert stale() == 2
    assert pipeline.accepts(frame(0, epoch=2))
    assert pipeline.accepts(PipelineAttached(session="s1", epoch=3, pipeline_worker="p3"))
    assert not pipeline.accepts(frame(0, epoch=3)), "audio of a worker that has not attached"
