"""The playout buffer: agent audio on its way to the caller, and the only truth about what the caller has heard.

Theory of operation: a talkspurt begins to play when a cushion of it is there (or when its end is known) and is then
taken in frames of 20 ms on the shared clock. Running dry before the known end is an underrun: the buffer waits for a
new cushion. A flush fades what would have been next within 5 ms and forgets the rest; a pause fades likewise but
keeps the position, so that resuming repeats those milliseconds rather than losing them.

Positions are samples of the agent's own stream (see `shared.frames`). Nothing here reads a clock.
"""

from collections import deque
from typing import Literal, NamedTuple

import numpy as np

from shared.audio import BYTES_PER_SAMPLE, PTIME_MS, as_samples, fade_out

FADE_MS = 5
MAX_BUFFERED_MS = 10_000

State = Literal["idle", "filling", "playing", "paused"]


class Frame(NamedTuple):
    """20 ms of interleaved PCM, `starts_talkspurt` on the first one after silence."""

    pcm: bytes
    starts_talkspurt: bool


class Ended(NamedTuple):
    """Playing stopped: the talkspurt was heard to its end, flushed or paused."""

    state: Literal["finished", "flushed", "paused"]


class PlayoutBuffer:
    """One session's buffer at one rate and channel count."""

    def __init__(self, sample_rate: int, channels: int, cushion_ms: int = 40) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.frame_samples = sample_rate * PTIME_MS // 1000
        self._sample_bytes = BYTES_PER_SAMPLE * channels
        self._frame_bytes = self.frame_samples * self._sample_bytes
        self._cushion = cushion_ms * sample_rate // 1000
        self._max_buffered = MAX_BUFFERED_MS * sample_rate // 1000
        self._pieces: deque[bytes] = deque()
        self._offset = 0
        self._buffered = 0
        self._end_sample = 0
        self._known_end: int | None = None
        self._state: State = "idle"
        self._last_words: bytes | None = None
        self._outcome: Ended | None = None
        self._fresh = True
        self.played_up_to = 0
        self.underruns = 0
        self.overflowed = 0
        self.skipped = 0

    @property
    def state(self) -> State:
        return self._state

    @property
    def buffered_samples(self) -> int:
        return self._buffered

    def push(self, first_sample: int, pcm: bytes) -> bool:
        """Append audio. True if it begins a talkspurt, i.e. the buffer was idle."""
        began = self._state == "idle"
        samples = len(pcm) // self._sample_bytes
        overlap = self._end_sample - first_sample
        if overlap >= samples:
            return False  # heard or queued already: a repeated batch
        if overlap > 0:
            pcm = pcm[overlap * self._sample_bytes :]
            samples -= overlap
        elif overlap < 0:
            # A hole is closed up: the caller hears the next word earlier rather than a pause.
            self.skipped += 0 if began else -overlap
            self._end_sample = first_sample
            if not self._buffered:
                self.played_up_to = first_sample
        if self._buffered + samples > self._max_buffered:
            self.overflowed += samples
            return False
        self._pieces.append(pcm)
        self._buffered += samples
        self._end_sample += samples
        if self._known_end is not None and self._end_sample > self._known_end:
            self._known_end = None
        if began:
            self._state = "filling"
        return began

    def end_at(self, end_sample: int) -> None:
        """The talkspurt ends there: what is buffered may play without waiting for a cushion."""
        self._known_end = end_sample
        if self._state == "idle":
            self._outcome = Ended("finished")

    def flush(self) -> None:
        """Fade out and forget everything queued. `take` reports `Ended("flushed")`."""
        if self._state == "playing":
            self._last_words = self._faded()
        self._pieces.clear()
        self._offset = 0
        self._buffered = 0
        self._known_end = None
        self._outcome = Ended("flushed")
        self._state = "idle"
        self._fresh = True

    def pause(self) -> None:
        if self._state in ("playing", "filling"):
            if self._state == "playing":
                self._last_words = self._faded(keep=True)
            self._state = "paused"
            self._outcome = Ended("paused")
            self._fresh = True

    def resume(self) -> None:
        if self._state == "paused":
            self._state = "filling" if self._buffered else "idle"

    def take(self) -> Frame | Ended | None:
        """What goes out in this 20 ms: a frame, the news that playing ended, or nothing."""
        if self._last_words is not None:
            pcm, self._last_words = self._last_words, None
            return Frame(pcm, False)
        if self._outcome is not None:
            outcome, self._outcome = self._outcome, None
            return outcome
        if self._state == "filling" and self._has_cushion():
            self._state = "playing"
        if self._state != "playing":
            return self._finish() if self._state == "filling" and self._is_over() else None
        if self._buffered == 0 or (self._buffered < self.frame_samples and not self._is_whole()):
            if self._is_over():
                return self._finish()
            self.underruns += 1
            self._state = "filling"
            return None
        starts, self._fresh = self._fresh, False
        return Frame(self._pop_frame(), starts)

    def _has_cushion(self) -> bool:
        return self._buffered >= self._cushion or (self._buffered > 0 and self._is_whole())

    def _is_whole(self) -> bool:
        return self._known_end is not None and self._end_sample >= self._known_end

    def _is_over(self) -> bool:
        return self._buffered == 0 and self._is_whole()

    def _finish(self) -> Ended:
        self._state = "idle"
        self._known_end = None
        self._fresh = True
        return Ended("finished")

    def _pop_frame(self) -> bytes:
        taken = self._peek(self._frame_bytes)
        samples = len(taken) // self._sample_bytes
        self._drop(len(taken))
        self._buffered -= samples
        self.played_up_to = self._end_sample - self._buffered
        return taken if len(taken) == self._frame_bytes else taken.ljust(self._frame_bytes, b"\0")

    def _faded(self, keep: bool = False) -> bytes:
        fade_bytes = FADE_MS * self.sample_rate // 1000 * self._sample_bytes
        head = self._peek(fade_bytes)
        if not keep:
            self.played_up_to = self._end_sample - self._buffered + len(head) // self._sample_bytes
        samples = as_samples(head).reshape(-1, self.channels)
        frame = np.zeros((self.frame_samples, self.channels), dtype="<i2")
        frame[: len(samples)] = fade_out(samples)
        return frame.tobytes()

    def _peek(self, size: int) -> bytes:
        """Up to `size` bytes from the front, without removing them."""
        if not self._pieces:
            return b""
        first = self._pieces[0]
        if len(first) - self._offset >= size:
            return first[self._offset : self._offset + size]
        parts = [first[self._offset :]]
        missing = size - len(parts[0])
        for piece in list(self._pieces)[1:]:
            if missing <= 0:
                break
            parts.append(piece[:missing])
            missing -= len(parts[-1])
        return b"".join(parts)

    def _drop(self, size: int) -> None:
        self._offset += size
        while self._pieces and self._offset >= len(self._pieces[0]):
            self._offset -= len(self._pieces.popleft())
