"""Whether a received sound is the echo of a sound that was sent.

The comparison uses envelopes, which codecs preserve. A jitter buffer stretches and shortens pauses by tens of
milliseconds, so each part has its own delay. Another sentence in the same voice has a likeness of about 0.55.
"""

from typing import Any, NamedTuple

import numpy as np

from shared.audio import Pcm

_WINDOW_MS = 20
_PART = 25  # windows: half a second, a word or two
_STRETCH = 15
"""How many windows a part may be away from its position in the best fit of the whole."""
_AUDIBLE = 0.1
_Envelope = np.ndarray[Any, np.dtype[np.float64]]


class Echo(NamedTuple):
    """Correlations are 1 for the same sound. The delay is that of the whole."""

    delay_ms: float
    likeness: float
    """Mean over the parts."""
    worst: float
    """Of the worst part, in which a gap would show."""


def find_echo(heard: Pcm, said: Pcm, sample_rate: int) -> Echo:
    """The position of `said` in `heard`, and how well it fits."""
    theirs = _envelope(said, sample_rate)
    ours = _envelope(heard, sample_rate)
    ours = np.pad(ours, (_STRETCH, _STRETCH + max(0, len(theirs) - len(ours))))
    delays = range(len(ours) - len(theirs) + 1)
    delay = max(delays, key=lambda at: _correlation(ours[at : at + len(theirs)], theirs))
    near = range(max(0, delay - _STRETCH), min(delay + _STRETCH + 1, len(delays)))
    parts = [
        max(_correlation(ours[at + begin : at + begin + _PART], theirs[begin : begin + _PART]) for at in near)
        for begin in range(0, len(theirs) - _PART + 1, _PART)
        if theirs[begin : begin + _PART].max() > _AUDIBLE * theirs.max()
    ]
    return Echo(float((delay - _STRETCH) * _WINDOW_MS), float(np.mean(parts)), min(parts))


def _correlation(one: _Envelope, other: _Envelope) -> float:
    if len(one) != len(other) or not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _envelope(pcm: Pcm, sample_rate: int) -> _Envelope:
    """The RMS level of each window."""
    window = sample_rate * _WINDOW_MS // 1000
    whole = pcm[: len(pcm) // window * window].astype(np.float64).reshape(-1, window)
    return np.asarray(np.sqrt((whole**2).mean(axis=1)))
