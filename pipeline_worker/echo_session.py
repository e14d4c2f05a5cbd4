"""An agent that plays the caller's own voice back without added delay, for benchmarks and microphone tests."""

import asyncio

import numpy as np

from pipeline_worker.media_link import MediaLink
from shared.audio import UPLINK_RATE, as_samples, samples_in
from shared.events import CallerConnected, EventsMissed, MediaAttached, PlayoutReported, SessionClosed
from shared.frames import AudioFrame, SilenceRun
from shared.wire import Item

_REPORTS_PER_WINDOW = 10  # a report comes every 100 ms
_USUALLY_QUEUED = samples_in(20, UPLINK_RATE)
"""One frame: the playout cushion has two, and one of them is being played."""
_QUIET_MEAN = 200.0
_PATIENCE_FRAMES = 50


class EchoSession:
    """Sends each frame back at once, but no silence.

    A stall delays the frames behind it, and a source in real time never catches up. So audio that stays queued for a
    second without need is reduced by leaving out frames, preferably quiet ones.
    """

    def __init__(self, link: MediaLink) -> None:
        self._link = link
        self._over = asyncio.Event()
        self._left = False
        self._seq = 0
        self._next_sample = 0
        self._talking = False
        self._reports = 0
        self._queued_least = 0
        self._surplus = 0
        self._patience = _PATIENCE_FRAMES

    async def run(self) -> None:
        """Returns when the session is over."""
        await self._over.wait()

    def receive(self, item: Item) -> None:
        if isinstance(item, AudioFrame):
            if item.epoch == self._link.epoch and item.sample_rate == UPLINK_RATE and item.channels == 1:
                self._echo(item)
        elif isinstance(item, SilenceRun):
            self._end_talkspurt()
        elif isinstance(item, PlayoutReported):
            self._watch_lag(item)
        elif isinstance(item, CallerConnected):
            self._link.publish_status("listening")
        elif isinstance(item, MediaAttached | EventsMissed):
            if isinstance(item, EventsMissed):
                self._link.repeat(item.published)
            if self._left:
                self._link.leave()
        elif isinstance(item, SessionClosed):
            if item.reason == "replaced":
                self._link.silence()
            self._over.set()

    def end(self, reason: str) -> None:
        if not self._over.is_set():
            self._link.end_session(reason)
            self._over.set()

    @property
    def uplink_from(self) -> int | None:
        return None

    def suspend(self, unreachable: bool) -> None:
        """Nothing is sent while nothing comes."""

    def on_messages_lost(self) -> None:
        """What is lost is not echoed."""

    def leave(self, at_once: bool = False) -> None:
        if not self._left:
            self._left = True
            self._link.leave()

    def stay(self) -> None:
        if self._left:
            self._left = False
            self._link.stay()

    def _echo(self, frame: AudioFrame) -> None:
        if self._surplus >= frame.samples and self._may_leave_out(frame):
            self._surplus -= frame.samples
            return
        self._talking = True
        self._link.send_audio(self._seq, self._next_sample, UPLINK_RATE, frame.pcm)
        self._seq += 1
        self._next_sample += frame.samples

    def _end_talkspurt(self) -> None:
        if self._talking:
            self._talking = False
            self._link.end_speech(self._next_sample)
        self._reports = self._surplus = 0

    def _watch_lag(self, report: PlayoutReported) -> None:
        if report.state != "playing":
            self._reports = self._surplus = 0
            return
        queued = self._next_sample - report.played_up_to
        self._queued_least = min(self._queued_least, queued) if self._reports else queued
        self._reports += 1
        if self._reports == _REPORTS_PER_WINDOW:
            self._reports = 0
            self._surplus = max(0, self._queued_least - _USUALLY_QUEUED)
            self._patience = _PATIENCE_FRAMES

    def _may_leave_out(self, frame: AudioFrame) -> bool:
        self._patience -= 1
        return self._patience < 0 or float(np.mean(np.abs(as_samples(frame.pcm)))) < _QUIET_MEAN
