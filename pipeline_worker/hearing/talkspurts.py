"""From speech probabilities to talkspurts: where speech sounds begin and end.

Two thresholds (hysteresis) keep a wavering probability from cutting a talkspurt. An onset keeps clicks out. A hangover
bridges the closures of stop consonants, which last 50-150 ms.
"""

from dataclasses import dataclass

from pipeline_worker.turns.events import SpeechProlonged, SpeechSustained
from shared.audio import UPLINK_RATE, samples_in

ONSET_PROBABILITY = 0.5
OFFSET_PROBABILITY = 0.35
"""Silero's own defaults: the lower threshold is 0.15 below the upper one."""

ONSET_MS = 64
HANGOVER_MS = 192
PROLONGED_MS = 1000


@dataclass(frozen=True, slots=True)
class TalkspurtStarted:
    """Speech began at `at_sample`; known an onset later."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class TalkspurtEnded:
    """The last speech sound ended at `at_sample`; known a hangover later."""

    at_sample: int


SpeechEvent = TalkspurtStarted | SpeechSustained | SpeechProlonged | TalkspurtEnded


class Talkspurts:
    """The talkspurts of one caller. `sustained_ms` of speech make `SpeechSustained`. For `tail_samples` after the last
    sound the detector still reports speech."""

    def __init__(self, chunk_samples: int, sustained_ms: int, tail_samples: int = 0) -> None:
        self._chunk = chunk_samples
        self._tail = tail_samples
        self._onset = samples_in(ONSET_MS, UPLINK_RATE)
        self._hangover = samples_in(HANGOVER_MS, UPLINK_RATE)
        self._sustained_after = samples_in(sustained_ms, UPLINK_RATE)
        self._prolonged_after = max(self._sustained_after, samples_in(PROLONGED_MS, UPLINK_RATE))
        self.position = 0
        self._candidate: int | None = None
        """Where speech began that is still shorter than the onset."""
        self._started: int | None = None
        self._sustained = self._prolonged = False
        self._last_speech = 0

    @property
    def speaking(self) -> bool:
        return self._started is not None

    @property
    def quiet(self) -> bool:
        """Whether neither speech nor a possible onset is going on."""
        return self._started is None and self._candidate is None

    @property
    def decided_up_to(self) -> int:
        """Up to here it is known what is speech; the rest may become an onset."""
        return self.position if self._candidate is None else self._candidate

    def push(self, probability: float) -> list[SpeechEvent]:
        """The next chunk's probability of speech (0..1)."""
        began, self.position = self.position, self.position + self._chunk
        if self._started is None:
            return self._listen(probability, began)
        if probability >= OFFSET_PROBABILITY:
            # The probability takes a chunk to fall: a weak one belongs to the speech before it.
            self._last_speech = self.position if probability >= ONSET_PROBABILITY else began
            return self._lengthen(self._started)
        return self._hang_over()

    def skip(self, samples: int) -> list[SpeechEvent]:
        """Advance through known silence."""
        self.position += samples
        self._candidate = None
        return self._hang_over() if self._started is not None else []

    def _listen(self, probability: float, began: int) -> list[SpeechEvent]:
        if probability < (ONSET_PROBABILITY if self._candidate is None else OFFSET_PROBABILITY):
            self._candidate = None
            return []
        if self._candidate is None:
            self._candidate = began
        if self.position - self._candidate < self._onset:
            return []
        self._started, self._candidate, self._sustained, self._prolonged = self._candidate, None, False, False
        self._last_speech = self.position
        return [TalkspurtStarted(self._started), *self._lengthen(self._started)]

    def _lengthen(self, started: int) -> list[SpeechEvent]:
        events: list[SpeechEvent] = []
        lasted = self._last_speech - started
        if not self._sustained and lasted >= self._sustained_after:
            self._sustained = True
            events.append(SpeechSustained(self._last_speech))
        if not self._prolonged and lasted >= self._prolonged_after:
            self._prolonged = True
            events.append(SpeechProlonged(self._last_speech))
        return events

    def _hang_over(self) -> list[SpeechEvent]:
        if self.position - self._last_speech < self._hangover:
            return []
        ended = max(self._started or 0, self._last_speech - self._tail)
        self._started = None
        return [TalkspurtEnded(ended)]
