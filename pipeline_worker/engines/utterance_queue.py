"""Which utterance a recogniser that takes whole utterances should look at next. No IO, no clock: `now` is passed in.

Such a recogniser starts from the beginning each time, so the text so far costs a pass of its own. Final texts come
first; interim ones get at most half of the time, however many people talk, so they grow rarer and never pile up.
"""

from typing import NamedTuple

_BYTES_PER_S = 32_000
_LONGEST_UTTERANCE_BYTES = 60 * _BYTES_PER_S
"""A minute; what is said after it is not recognised."""
MOST_UTTERANCES = 128
"""At most 245 MB of speech."""


class Pass(NamedTuple):
    """One run of the model. `pcm` is 16 kHz, 16 bit, mono."""

    channel: int
    pcm: bytes
    final: bool


class _Utterance:
    def __init__(self) -> None:
        self.pcm = bytearray()
        self.looked_at_bytes = 0

    @property
    def new_bytes(self) -> int:
        return len(self.pcm) - self.looked_at_bytes


class UtteranceQueue:
    def __init__(self, interim_s: float) -> None:
        """`interim_s`: new speech that an interim text takes at least; 0 for none."""
        self._interim_bytes = int(interim_s * _BYTES_PER_S)
        self._utterances: dict[int, _Utterance] = {}
        self._finished: dict[int, _Utterance] = {}
        self._interims_from = 0.0

    @property
    def waits_for_speech(self) -> bool:
        """Nothing becomes due by time alone."""
        return not self._interim_bytes or not any(self._wants_interim(one) for one in self._utterances.values())

    def open(self, channel: int) -> bool:
        """False when there are too many already."""
        if len(self._utterances) + len(self._finished) >= MOST_UTTERANCES:
            return False
        self._utterances[channel] = _Utterance()
        return True

    def push(self, channel: int, pcm: bytes) -> None:
        if utterance := self._utterances.get(channel):
            utterance.pcm += pcm[: _LONGEST_UTTERANCE_BYTES - len(utterance.pcm)]

    def finish(self, channel: int) -> None:
        if utterance := self._utterances.pop(channel, None):
            self._finished[channel] = utterance

    def cancel(self, channel: int) -> None:
        self._utterances.pop(channel, None)
        self._finished.pop(channel, None)

    def next(self, now: float) -> Pass | None:
        """What to do now; `done` must follow."""
        for channel, utterance in self._finished.items():
            del self._finished[channel]
            return Pass(channel, bytes(utterance.pcm), final=True)
        if not self._interim_bytes or now < self._interims_from or not self._utterances:
            return None
        channel, utterance = max(self._utterances.items(), key=lambda item: item[1].new_bytes)
        if not self._wants_interim(utterance):
            return None
        utterance.looked_at_bytes = len(utterance.pcm)
        return Pass(channel, bytes(utterance.pcm), final=False)

    def done(self, done: Pass, began: float, ended: float) -> bool:
        """Whether anybody still waits for what came of it."""
        if done.final:
            return True
        self._interims_from = ended + (ended - began)
        return done.channel in self._utterances

    def _wants_interim(self, utterance: _Utterance) -> bool:
        return utterance.new_bytes >= self._interim_bytes
