"""The caller's time line: frames that may come twice, late or not at all become stretches without a gap."""

from dataclasses import dataclass

from shared.audio import BYTES_PER_SAMPLE
from shared.frames import AudioFrame, SilenceRun


@dataclass(frozen=True, slots=True)
class Sound:
    first_sample: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    first_sample: int
    samples: int


Stretch = Sound | Silence


class Timeline:
    """Begins where its first item does, because a session may have begun with another pipeline worker."""

    def __init__(self) -> None:
        self.position: int | None = None
        """End of all that was accepted, in samples."""
        self._last_seq = -1
        self.late = 0
        """Items that came after their time had passed, or twice."""
        self.missing_samples = 0
        """Audio that nobody has."""

    def accept(self, item: AudioFrame | SilenceRun) -> list[Stretch]:
        """What `item` adds, in order. A gap before it is silence; what overlaps the past is cut off."""
        position = item.first_sample if self.position is None else self.position
        if item.seq <= self._last_seq or item.end_sample <= position:
            self.late += 1
            return []
        self._last_seq = item.seq
        stretches: list[Stretch] = []
        if item.first_sample > position:
            self.missing_samples += item.first_sample - position
            stretches.append(Silence(position, item.first_sample - position))
        known = max(0, position - item.first_sample)
        if isinstance(item, AudioFrame):
            pcm = item.pcm[known * BYTES_PER_SAMPLE * item.channels :]
            stretches.append(Sound(item.first_sample + known, pcm))
        else:
            stretches.append(Silence(item.first_sample + known, item.samples - known))
        self.position = item.end_sample
        return stretches
