"""Makes gapless audio of the caller's frames, of which some may be repeated, late or lost."""

from typing import NamedTuple

from shared.audio import BYTES_PER_SAMPLE
from shared.frames import AudioFrame, SilenceRun


class Sound(NamedTuple):
    """`pcm` is 16-bit mono."""

    first_sample: int
    pcm: bytes


class Silence(NamedTuple):
    first_sample: int
    samples: int


Stretch = Sound | Silence


class Reassembly:
    """Begins at its first item, because a session may have begun with another pipeline worker."""

    def __init__(self) -> None:
        self.position: int | None = None
        """End of the accepted audio, in samples."""
        self._last_seq = -1

    def accept_next(self, frame: AudioFrame) -> bool:
        """Whether `frame`, 16-bit mono, is just what follows, as nearly all are. Then it is accepted as it is."""
        if frame.first_sample != self.position or frame.seq <= self._last_seq or not frame.pcm:
            return False
        self._last_seq = frame.seq
        self.position += len(frame.pcm) // BYTES_PER_SAMPLE
        return True

    def accept(self, item: AudioFrame | SilenceRun) -> list[Stretch]:
        """Returns what `item` adds, in order: nothing if it is late or repeated.

        A gap before it becomes silence. What overlaps earlier audio is cut off.
        """
        first, end = item.first_sample, item.end_sample
        position = first if self.position is None else self.position
        if item.seq <= self._last_seq or end <= position:
            return []
        self._last_seq = item.seq
        self.position = end
        gap: list[Stretch] = [Silence(position, first - position)] if first > position else []
        known = max(0, position - first)
        if isinstance(item, AudioFrame):
            return [*gap, Sound(first + known, item.pcm[known * BYTES_PER_SAMPLE * item.channels :])]
        return [*gap, Silence(first + known, item.samples - known)]
