"""How long this caller pauses within what they say, as a guide to how long a silence must be to end it."""

_NEWEST_COUNTS = 0.3
_ABOVE_USUAL = 1.5
"""An endpoint lies half as far again beyond the caller's usual pause."""


class SpeakerPauses:
    """A running estimate, in samples."""

    def __init__(self) -> None:
        self._usual: float | None = None

    def add(self, samples: int) -> None:
        """The caller paused for so long, and went on."""
        self._usual = samples if self._usual is None else self._usual + _NEWEST_COUNTS * (samples - self._usual)

    def endpointing(self, least: int, most: int) -> int:
        """The silence that ends an utterance, between `least` and `most`."""
        wanted = round(_ABOVE_USUAL * self._usual) if self._usual is not None else least
        return max(least, min(wanted, most))
