"""How much of what was said is in what was heard."""

from typing import Any, NamedTuple

import numpy as np

from shared.audio import Pcm

WINDOW_MS = 20
_Envelope = np.ndarray[Any, np.dtype[np.float64]]


class Echo(NamedTuple):
    delay_ms: float
    likeness: float
    """Correlation of the envelopes at that delay; 1 is the same voice."""


def find_echo(heard: Pcm, said: Pcm, sample_rate: int) -> Echo:
    """Where `said` is in `heard`, by the energy of 20 ms windows, which time-stretching by a jitter buffer survives."""
    ours, theirs = envelope(heard, sample_rate), envelope(said, sample_rate)
    if len(ours) < len(theirs):
        ours = np.pad(ours, (0, len(theirs) - len(ours)))
    best = Echo(0.0, 0.0)
    for delay in range(len(ours) - len(theirs) + 1):
        part = ours[delay : delay + len(theirs)]
        if part.std() > 0:
            likeness = float(np.corrcoef(part, theirs)[0, 1])
            if likeness > best.likeness:
                best = Echo(float(delay * WINDOW_MS), likeness)
    return best


def envelope(pcm: Pcm, sample_rate: int) -> _Envelope:
    """The RMS level of each window of 20 ms."""
    window = sample_rate * WINDOW_MS // 1000
    whole = pcm[: len(pcm) // window * window].astype(np.float64).reshape(-1, window)
    return np.asarray(np.sqrt((whole**2).mean(axis=1)))
