"""Decides whether the model must judge a chunk, because a quiet room would cost thirty model calls a second.

Chunks without speech according to the model teach the noise floor. After a while without speech, chunks as quiet as the
floor count as silence. Loud noise always goes to the model, because speech can be below its floor.
"""

CALM_PROBABILITY = 0.1
CALM_CHUNKS = 10
"""320 ms without speech close the gate, also after each time that it had to open."""
_LOUDEST_FLOOR = 1e-5
"""-50 dBFS, as a mean square of samples with full scale 1."""
_MARGIN = 1.6
"""2 dB. Chunks of white noise vary by a quarter of a dB."""
_LEARN_JUDGED, _LEARN_GATED = 1 / 8, 1 / 32


class SilenceGate:
    """For one caller. `energy` is the mean square of a chunk."""

    def __init__(self) -> None:
        self._floor = 0.0
        self._calm_chunks = 0

    def passes(self, energy: float) -> bool:
        """Whether the model must judge the chunk; otherwise it is silence. Call once per chunk, in order."""
        if self._calm_chunks < CALM_CHUNKS:
            return True
        if energy > min(self._floor * _MARGIN, _LOUDEST_FLOOR):
            self._calm_chunks = 0
            return True
        self._learn(energy, _LEARN_GATED)
        return False

    def judged(self, energy: float, probability: float) -> None:
        """Records the model's result for a chunk that passed."""
        if probability >= CALM_PROBABILITY:
            self._calm_chunks = 0
            return
        self._learn(energy, _LEARN_JUDGED if self._calm_chunks else 1.0)
        self._calm_chunks += 1

    def _learn(self, energy: float, share: float) -> None:
        self._floor += (energy - self._floor) * share
