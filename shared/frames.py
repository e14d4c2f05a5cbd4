"""PCM between a media worker and a pipeline worker.

Positions count samples since the session began, at the frame's rate: `first_sample` is the position of a frame's first
sample. A gap between the end of one frame and the start of the next is audio that was lost.
"""

from typing import NamedTuple

from shared.audio import BYTES_PER_SAMPLE


class AudioFrame(NamedTuple):
    """Mono 16-bit PCM: 20 ms on the way up, 100 ms or more on the way down."""

    session: str
    epoch: int
    seq: int
    first_sample: int
    sample_rate: int
    channels: int
    """Always 1. Older processes expect the field on the wire."""
    pcm: bytes

    @property
    def samples(self) -> int:
        return len(self.pcm) // BYTES_PER_SAMPLE

    @property
    def end_sample(self) -> int:
        return self.first_sample + self.samples


class SilenceRun(NamedTuple):
    """Time without sound (a DTX gap, a mute): silence is sent as its length, not as zeros."""

    session: str
    epoch: int
    seq: int
    first_sample: int
    sample_rate: int
    samples: int

    @property
    def end_sample(self) -> int:
        return self.first_sample + self.samples
