"""The agent's audio on its way to the media worker, and what the caller has heard of it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from pipeline_worker.media_link import MediaLink
from shared.audio import BYTES_PER_SAMPLE, Pcm, samples_in
from shared.errors import AntiphonError
from shared.events import PlayoutReported
from shared.io.logs import get_logger

_MIN_FRAME_MS = 100
_MAX_FRAME_MS = 200
_AHEAD_S = 2.0
"""How far audio runs ahead of playout: enough to bridge a broker failover. A barge-in discards as much."""
_STALL_S = 10.0
_FINISH_GRACE_S = 3.0

log = get_logger()


class PlayoutStalled(AntiphonError):
    """The media worker lives and plays nothing."""

    code = "playout_stalled"


class Downlink:
    """Positions count samples of the session's agent audio, one stream over all turns.

    While the media worker cannot be reached (`suspend`), nothing is sent and no wait times out.
    """

    def __init__(self, link: MediaLink, sample_rate: int) -> None:
        self._link = link
        self._rate = sample_rate
        self._min_frame = samples_in(_MIN_FRAME_MS, sample_rate)
        self._max_frame = samples_in(_MAX_FRAME_MS, sample_rate)
        self._ahead = samples_in(_AHEAD_S * 1000, sample_rate)
        self._pending = bytearray()
        self._seq = 0
        self._sent = 0
        self._turn_began = 0
        self._flushes_reported = 0
        self._paused = False
        self._pauses = 0
        self._reported = asyncio.Event()
        self._reachable = True
        self._unheard: deque[tuple[int, bytes]] = deque()
        """First sample and audio of what was sent and is not reported as played: at most what runs ahead of playout."""
        self._speech_ended = False
        self.played_up_to = 0

    @property
    def session(self) -> str:
        return self._link.session

    @property
    def position(self) -> int:
        """The position of the next sample that is given to `send`."""
        return self._sent + len(self._pending) // BYTES_PER_SAMPLE

    @property
    def begun(self) -> bool:
        """Whether audio of this turn was sent."""
        return self._sent > self._turn_began

    @property
    def heard(self) -> bool:
        """Whether the caller has heard the beginning of this turn."""
        return self.played_up_to > self._turn_began

    def begin_turn(self) -> None:
        """Discard the rest of an interrupted turn. The first audio of the new turn is sent at once."""
        self._pending.clear()
        self._unheard.clear()
        self._speech_ended = False
        self._turn_began = self._sent

    async def send(self, samples: Pcm) -> None:
        """Queue audio. Returns when all but a short rest has been sent.

        Raises `PlayoutStalled` if the caller hears nothing of it for 10 s.
        """
        self._pending += samples.astype("<i2").tobytes()
        while self._pending:
            waiting = len(self._pending) // BYTES_PER_SAMPLE
            if waiting < self._min_frame and self.begun:
                return
            await self._send_frame(min(waiting, self._max_frame))

    async def send_rest(self) -> None:
        """Send what is queued: the sentence has ended, and the next one may take a while."""
        if self._pending:
            await self._send_frame(len(self._pending) // BYTES_PER_SAMPLE)

    async def finish(self) -> None:
        """End the turn. Returns when the caller has heard all of it, or must have by now."""
        await self.send_rest()
        if not self.begun:
            return
        self._link.end_speech(self._sent)
        self._speech_ended = True
        paused = -1
        while self._paused or self._pauses != paused:  # the wait starts again after a pause
            paused = self._pauses
            remaining_s = max(0, self._sent - self.played_up_to) / self._rate
            if await self._until(lambda: self.played_up_to >= self._sent, remaining_s + _FINISH_GRACE_S):
                return
        self.played_up_to = self._sent
        self._unheard.clear()

    def pause(self) -> None:
        """Silence at once. `resume` continues at the same sample."""
        self._paused = True
        self._pauses += 1
        if self.begun:
            self._link.pause_playout()

    def resume(self) -> None:
        self._paused = False
        if self.begun:
            self._link.resume_playout()
        self._reported.set()

    async def flush(self, timeout_s: float) -> bool:
        """Discard what is queued. False if the media worker did not report in time what was heard."""
        self._paused = False
        self._unheard.clear()
        if not self.begun:
            return True
        reports = self._flushes_reported
        self._link.flush_playout()
        reported = await self._until(lambda: self._flushes_reported > reports, timeout_s)
        if not reported:
            log.warning("flush_not_reported", session_id=self._link.session)
        return reported

    def suspend(self) -> None:
        """The media worker cannot be reached."""
        self._reachable = False
        self._reported.set()

    def unsuspend(self) -> None:
        self._reachable = True
        self._reported.set()

    def repeat_pause(self) -> None:
        """Messages were lost: tell again whether the agent is paused."""
        if self.begun and self.played_up_to < self._sent:
            (self._link.pause_playout if self._paused else self._link.resume_playout)()

    def repeat(self) -> None:
        """A new media worker has nothing of this stream yet: send it what was not heard."""
        for first_sample, pcm in self._unheard:
            heard = max(0, self.played_up_to - first_sample)
            self._send_audio(first_sample + heard, pcm[heard * BYTES_PER_SAMPLE :])
        if self._unheard and self._speech_ended:
            self._link.end_speech(self._sent)
        if self._paused and self.begun:
            self._link.pause_playout()
        self._flushes_reported += 1  # it has nothing to flush
        self.unsuspend()

    def on_report(self, report: PlayoutReported) -> None:
        self.played_up_to = max(self.played_up_to, min(report.played_up_to, self._sent))
        while self._unheard and self._unheard[0][0] + len(self._unheard[0][1]) // BYTES_PER_SAMPLE <= self.played_up_to:
            self._unheard.popleft()
        self._flushes_reported += report.state == "flushed"
        self._reported.set()

    async def _send_frame(self, samples: int) -> None:
        if not (self._may_send() or await self._until(self._may_send, _STALL_S)):
            raise PlayoutStalled(f"no agent audio was played for {_STALL_S} s")
        pcm = bytes(self._pending[: samples * BYTES_PER_SAMPLE])
        del self._pending[: samples * BYTES_PER_SAMPLE]
        self._unheard.append((self._sent, pcm))
        self._send_audio(self._sent, pcm)
        self._sent += samples

    def _send_audio(self, first_sample: int, pcm: bytes) -> None:
        self._link.send_audio(self._seq, first_sample, self._rate, pcm)
        self._seq += 1

    def _may_send(self) -> bool:
        """A paused turn that has not begun waits here, because the media worker has nothing to pause yet."""
        # Samples before the turn began may have been flushed, and are never played.
        queued = self._sent - max(self.played_up_to, self._turn_began)
        return self._reachable and queued < self._ahead and (self.begun or not self._paused)

    async def _until(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """The time begins again when the media worker can be reached again."""
        now = asyncio.get_running_loop().time
        deadline = now() + timeout_s
        while not reached():
            self._reported.clear()
            if not self._reachable:
                await self._reported.wait()
                deadline = now() + timeout_s
                continue
            if now() >= deadline:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._reported.wait()
        return True
