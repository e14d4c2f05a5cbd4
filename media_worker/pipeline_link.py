"""A session's connection to its pipeline worker: none at first, then the one that attached last.

Each pipeline worker of a session has an epoch, one higher than its predecessor's. What an earlier one still sends is
ignored. The caller's audio before the first one attaches is kept, up to two seconds.
"""

import asyncio
from collections import deque

from prometheus_client import Counter

from shared import keys
from shared.events import Message, PipelineMessage
from shared.frames import AudioFrame, SilenceRun
from shared.io.outbox import Outbox

_FRAMES_KEPT = 100  # of 20 ms

_stale = Counter("antiphon_media_stale_epoch_total", "Messages of a pipeline worker that was replaced")


class PipelineLink:
    """Sends to the session's pipeline worker, and ignores its predecessors."""

    def __init__(self, epoch: int, outbox: Outbox) -> None:
        self.epoch = epoch
        self.attached = asyncio.Event()
        """Set once there is a pipeline worker."""
        self._outbox = outbox
        self._inbox: str | None = None
        self._frames_waiting: deque[AudioFrame | SilenceRun] = deque(maxlen=_FRAMES_KEPT)

    def accepts(self, item: AudioFrame | PipelineMessage) -> bool:
        """False for what an earlier pipeline worker sent; that is counted. An attachment may name a later epoch."""
        accepted = item.epoch >= self.epoch if isinstance(item, PipelineMessage) else item.epoch == self.epoch
        if not accepted:
            _stale.inc()
        return accepted

    def attach(self, pipeline_worker: str, epoch: int) -> None:
        """Send to this worker from now on, beginning with the frames that waited."""
        self._inbox = keys.inbox("pipeline", pipeline_worker)
        self.epoch = epoch
        self.attached.set()

    def send(self, message: Message) -> None:
        """Dropped while no pipeline worker is attached."""
        if self._inbox is not None:
            self._outbox.send(self._inbox, message)

    def send_frame(self, frame: AudioFrame | SilenceRun) -> None:
        """Kept while no pipeline worker is attached; the oldest goes first."""
        if self._inbox is None:
            self._frames_waiting.append(frame)
        else:
            self._outbox.send(self._inbox, frame)

    def send_waiting_frames(self) -> None:
        while self._frames_waiting:
            self.send_frame(self._frames_waiting.popleft()._replace(epoch=self.epoch))
