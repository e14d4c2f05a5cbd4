"""Whether a chunk of sound is worth the model's time: a quiet room need not be judged fifty times a second.

The model itself says what the room sounds like: chunks that it finds free of speech teach the noise floor. Once it has
found nothing for a while, chunks that are as quiet as the floor are taken for more of the same. Loud noise always goes
to the model, because there speech can hide beneath the floor.
"""

CALM_PROBABILITY = 0.1
CALM_CHUNKS = 10
"""320 ms without speech before the gate closes, again after each time that it had to open."""
_LOUDEST_FLOOR = 1e-5
"""-50 dBFS: a mean square, of samples with full scale 1."""
_MARGIN = 1.6
"""2 dB; chunks of 512 samples of white noise vary by a quarter of one."""
_LEARN_JUDGED, _LEARN_GATED = 1 / 8, 1 / 32


class SilenceGate:
    """One caller's. `energy` is the mean square of a chunk."""

    def __init__(self) -> None:
        self._floor = 0.0
        self._calm_chunks = 0

    def passes(self, energy: float) -> bool:
        """Whether the model must judge the chunk; if not, it is no speech. Ask once for each, in order."""
        if self._calm_chunks < CALM_CHUNKS:
            return True
        if energy > min(self._floor * _MARGIN, _LOUDEST_FLOOR):
            self._calm_chunks = 0
            return True
        self._learn(energy, _LEARN_GATED)
        return False

    def judged(self, energy: float, probability: float) -> None:
        """What the model said of a chunk that passed."""
        if probability >= CALM_PROBABILITY:
            self._calm_chunks = 0
            return
        self._learn(energy, _LEARN_JUDGED if self._calm_chunks else 1.0)
        self._calm_chunks += 1

    def _learn(self, energy: float, share: float) -> None:
        self._floor += (energy - self._floor) * share
