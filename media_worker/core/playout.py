"""The playout buffer: agent audio on its way to the caller, and the authority on what the caller has heard.

Theory of operation: a talkspurt starts to play when a cushion of it has arrived or its end is known. It is then taken
in frames of 20 ms on the shared clock. Running dry before the end is known is an underrun: the buffer waits for a new
cushion. A flush fades out within 5 ms and drops the rest. A pause fades out too but keeps its position, so that
resuming repeats those milliseconds rather than losing them.

Positions are samples of the agent's own stream (see `shared.frames`). Nothing here reads a clock.
"""

from collections import deque
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from shared.audio import BYTES_PER_SAMPLE, PTIME_MS, as_samples, fade_out

FADE_MS = 5
MAX_BUFFERED_MS = 10_000
_MAX_OUTCOMES = 4

State = Literal["idle", "filling", "playing", "paused"]


class Frame(NamedTuple):
    """20 ms of PCM; `starts_talkspurt` is set on the first one after silence."""

    pcm: bytes
    starts_talkspurt: bool


class _Piece(NamedTuple):
    first_sample: int
    pcm: bytes


class Ended(NamedTuple):
    """Playing stopped: the talkspurt was heard to its end, flushed or paused."""

    state: Literal["finished", "flushed", "paused"]


class PlayoutBuffer:
    """One session's buffer at one rate."""

    def __init__(self, sample_rate: int, cushion_ms: int = 40) -> None:
        self.sample_rate = sample_rate
        self.frame_samples = sample_rate * PTIME_MS // 1000
        self._frame_bytes = self.frame_samples * BYTES_PER_SAMPLE
        self._cushion = cushion_ms * sample_rate // 1000
        self._max_buffered = MAX_BUFFERED_MS * sample_rate // 1000
        self._pieces: deque[_Piece] = deque()
        self._offset = 0
        self._buffered = 0
        self._end_sample = 0
        self._end_known = False
        self.state: State = "idle"
        self._fading: bytes | None = None
        self._outcomes: deque[Ended] = deque(maxlen=_MAX_OUTCOMES)
        self._fresh = True
        self.played_up_to = 0
        self.underruns = 0
        self.overflowed = 0

    def push(self, first_sample: int, pcm: bytes) -> bool:
        """Append audio. True if it starts a talkspurt, i.e. the buffer was idle."""
        began = self.state == "idle"
        samples = len(pcm) // BYTES_PER_SAMPLE
        overlap = self._end_sample - first_sample
        if overlap >= samples:
            return False  # a repeated batch: played or queued already
        if self._buffered + samples - max(0, overlap) > self._max_buffered:
            self.overflowed += samples
            return False
        if overlap > 0:
            pcm = pcm[overlap * BYTES_PER_SAMPLE :]
            first_sample += overlap
        # A hole is closed: the next word plays early rather than after a pause.
        self._pieces.append(_Piece(first_sample, pcm))
        self._end_sample = first_sample + len(pcm) // BYTES_PER_SAMPLE
        self._buffered += len(pcm) // BYTES_PER_SAMPLE
        self._end_known = False
        if began:
            self.state = "filling"
        return began

    def end_talkspurt(self) -> None:
        """The talkspurt is complete: the rest plays without waiting for a cushion.

        Audio and this message arrive in order, so what is missing was lost.
        """
        if self.state == "idle":
            self._end_now("finished")
        else:
            self._end_known = True

    def flush(self) -> None:
        """Fade out and drop everything queued. `take` reports `Ended("flushed")`."""
        if self.state == "playing":
            self._fading = self._faded()
        self._pieces.clear()
        self._offset = 0
        self._buffered = 0
        self._end_now("flushed")

    def restart(self) -> int:
        """Another pipeline worker takes over, with positions from 0: the old audio fades out, unreported.

        Returns what was heard of it.
        """
        self.flush()
        self._outcomes.clear()
        heard_up_to = self.played_up_to
        self._end_sample = self.played_up_to = 0
        return heard_up_to

    def pause(self) -> None:
        if self.state in ("playing", "filling"):
            if self.state == "playing":
                self._fading = self._faded(keep=True)
            self.state = "paused"
            self._outcomes.append(Ended("paused"))
            self._fresh = True

    def resume(self) -> None:
        if self.state == "paused":
            self.state = "filling"

    def settle(self) -> None:
        """Play what is left: the message that should have resumed or ended the talkspurt was lost."""
        self.resume()
        if self.state == "filling":
            self.end_talkspurt()

    def take(self) -> Frame | Ended | None:
        """What to send in this 20 ms: a frame, or nothing; or that playing ended."""
        if self._fading is not None:
            pcm, self._fading = self._fading, None
            return Frame(pcm, False)
        if self.state in ("filling", "playing") and self._end_known and not self._buffered:
            self._end_now("finished")
        if self._outcomes:
            return self._outcomes.popleft()
        if self.state == "filling" and (self._end_known or self._buffered >= self._cushion):
            self.state = "playing"
        if self.state != "playing":
            return None
        if self._buffered < self.frame_samples and not self._end_known:
            self.underruns += 1
            self.state = "filling"
            self._fresh = True
            return None
        starts, self._fresh = self._fresh, False
        return Frame(self._pop_frame(), starts)

    def _end_now(self, how: Literal["finished", "flushed"]) -> None:
        self.state = "idle"
        self._end_known = False
        self._fresh = True
        self._outcomes.append(Ended(how))

    def _pop_frame(self) -> bytes:
        taken = self._peek(self._frame_bytes)
        self._drop(len(taken))
        return taken if len(taken) == self._frame_bytes else taken.ljust(self._frame_bytes, b"\0")

    def _faded(self, keep: bool = False) -> bytes:
        head = self._peek(FADE_MS * self.sample_rate // 1000 * BYTES_PER_SAMPLE)
        if not keep:
            self._drop(len(head))
        samples = as_samples(head)
        frame = np.zeros(self.frame_samples, dtype="<i2")
        frame[: len(samples)] = fade_out(samples)
        return frame.tobytes()

    def _peek(self, size: int) -> bytes:
        """Up to `size` bytes from the front, without removing them."""
        if not self._pieces:
            return b""
        first = self._pieces[0].pcm
        if len(first) - self._offset >= size:
            return first[self._offset : self._offset + size]
        parts = [first[self._offset :]]
        missing = size - len(parts[0])
        for piece in islice(self._pieces, 1, None):
            if missing <= 0:
                break
            parts.append(piece.pcm[:missing])
            missing -= len(parts[-1])
        return b"".join(parts)

    def _drop(self, size: int) -> None:
        """Remove `size` bytes from the front: they count as heard."""
        self._buffered -= size // BYTES_PER_SAMPLE
        self._offset += size
        while self._pieces and self._offset >= len(self._pieces[0].pcm):
            piece = self._pieces.popleft()
            self._offset -= len(piece.pcm)
            self.played_up_to = piece.first_sample + len(piece.pcm) // BYTES_PER_SAMPLE
        if self._offset:
            self.played_up_to = self._pieces[0].first_sample + self._offset // BYTES_PER_SAMPLE
