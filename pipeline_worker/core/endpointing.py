"""When an utterance begins and is over: talkspurts with less than `silence_ms` between them are one utterance."""

from dataclasses import dataclass

from pipeline_worker.core.talkspurts import TalkspurtEnded, TalkspurtEvent, TalkspurtStarted
from shared.audio import UPLINK_RATE, samples_in


@dataclass(frozen=True, slots=True)
class UtteranceStarted:
    """Utterances are numbered from 1."""

    utterance: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    utterance: int
    at_sample: int


UtteranceEvent = UtteranceStarted | UtteranceEnded


class Endpointing:
    """A silence shorter than the talkspurts' hangover cannot be seen: the endpoint then comes with the hangover."""

    def __init__(self, silence_ms: int) -> None:
        self._silence = samples_in(silence_ms, UPLINK_RATE)
        self._utterance = 0
        self._open = False
        self._deadline: int | None = None

    @property
    def open(self) -> bool:
        """An utterance has begun and is not over."""
        return self._open

    def handle(self, event: TalkspurtEvent) -> list[UtteranceEvent]:
        match event:
            case TalkspurtStarted(at_sample):
                self._deadline = None
                if not self._open:
                    self._open = True
                    self._utterance += 1
                    return [UtteranceStarted(self._utterance, at_sample)]
            case TalkspurtEnded(at_sample):
                self._deadline = at_sample + self._silence
        return []

    def advance(self, position: int) -> list[UtteranceEvent]:
        """Nothing was heard between the last talkspurt and `position`."""
        if self._deadline is None or position < self._deadline:
            return []
        at_sample, self._deadline, self._open = self._deadline, None, False
        return [UtteranceEnded(self._utterance, at_sample)]
