"""When an utterance begins and ends: talkspurts with short silences between them are one utterance.

The silence that ends an utterance depends on its words: longest after unfinished ones, shortest after a sentence with a
final mark, and otherwise between the two, by the caller's own pauses. After a part of it the end is likely, and a reply
may be prepared. While the agent speaks, every talkspurt is an utterance of its own, because it must be decided at once
whether the caller wants the floor.
"""

from pipeline_worker.hearing.completeness import Completeness, completeness
from pipeline_worker.hearing.talkspurts import SpeechEvent, TalkspurtEnded, TalkspurtStarted
from pipeline_worker.turns.events import EndLikely, UtteranceEnded, UtteranceResumed, UtteranceStarted
from shared.agent import TurnTaking
from shared.audio import UPLINK_RATE, samples_in

_LIKELY_AFTER = {Completeness.FINISHED: 0.0, Completeness.OPEN: 0.6}
"""The part of the silence after which the end is likely."""
_LONGEST = 60 * UPLINK_RATE
"""A longer utterance is ended, so that a radio cannot keep the agent waiting."""

_NEWEST_COUNTS = 0.3
_ABOVE_USUAL = 1.5
"""The endpoint, in multiples of the caller's usual pause."""

UtteranceEvent = UtteranceStarted | EndLikely | UtteranceResumed | UtteranceEnded


class Endpointing:
    """An endpoint comes after the talkspurts' hangover at the earliest."""

    def __init__(self, taking: TurnTaking, language: str) -> None:
        self._language = language
        self._least = samples_in(taking.endpointing_ms, UPLINK_RATE)
        self._most = max(self._least, samples_in(taking.max_endpointing_ms, UPLINK_RATE))
        self._pauses = SpeakerPauses() if taking.adaptive else None
        self._utterance = 0
        self._started: int | None = None
        self._last_sound: int | None = None
        """Where the utterance's last talkspurt ended; None while one goes on."""
        self._pause_began: int | None = None
        """The same, but kept after the endpoint, while more speech would show that the endpoint was too early."""
        self._text = ""
        self._kind = Completeness.OPEN
        self._likely: str | None = None

    @property
    def open(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return self._started is not None

    @property
    def last_sound(self) -> int | None:
        """Where the last talkspurt ended."""
        return self._pause_began

    def handle(self, event: SpeechEvent) -> list[UtteranceEvent]:
        match event:
            case TalkspurtStarted(at_sample):
                self._learn(at_sample)
                self._last_sound = None
                if self._started is None:
                    self._started, self._text, self._kind = at_sample, "", Completeness.OPEN
                    self._utterance += 1
                    return [UtteranceStarted(self._utterance, at_sample)]
                if self._likely is not None:
                    self._likely = None
                    return [UtteranceResumed(self._utterance)]
            case TalkspurtEnded(at_sample):
                self._pause_began = at_sample
                if self._started is not None:
                    self._last_sound = at_sample
        return []

    def understood(self, utterance: int, text: str) -> None:
        """The words of an utterance so far. Those of an earlier utterance are ignored."""
        if utterance == self._utterance and self.open:
            self._text, self._kind = text, completeness(text, self._language)

    def answered(self) -> None:
        """The agent speaks: the silence before the caller's next words does not count as a pause."""
        self._pause_began = None

    def advance(self, position: int, agent_speaks: bool = False) -> list[UtteranceEvent]:
        """Nothing was heard between the last talkspurt and `position`."""
        if self._started is None:
            return []
        if position - self._started >= _LONGEST:
            return [self.end(position)]
        if self._last_sound is None:
            return []
        silence = self._silence()
        deadline = self._last_sound + (0 if agent_speaks else silence)
        if position >= deadline:
            return [self.end(deadline)]
        if self._kind not in _LIKELY_AFTER or not self._text or self._text == self._likely:
            return []
        if position < self._last_sound + _LIKELY_AFTER[self._kind] * silence:
            return []
        self._likely = self._text
        return [EndLikely(self._utterance, self._text)]

    def end(self, at_sample: int) -> UtteranceEnded:
        """End the open utterance."""
        self._started = self._last_sound = self._likely = None
        return UtteranceEnded(self._utterance, at_sample)

    def _silence(self) -> int:
        match self._kind:
            case Completeness.UNFINISHED:
                return self._most
            case Completeness.OPEN if self._pauses is not None:
                return self._pauses.endpointing(self._least, self._most)
        return self._least

    def _learn(self, at_sample: int) -> None:
        began, self._pause_began = self._pause_began, None
        if began is not None and self._pauses is not None and at_sample - began <= self._most:
            self._pauses.add(at_sample - began)


class SpeakerPauses:
    """A running estimate of this caller's pauses within utterances, in samples."""

    def __init__(self) -> None:
        self._usual: float | None = None

    def add(self, samples: int) -> None:
        """The caller paused for so long and continued."""
        self._usual = samples if self._usual is None else self._usual + _NEWEST_COUNTS * (samples - self._usual)

    def endpointing(self, least: int, most: int) -> int:
        """The silence that ends an utterance, between `least` and `most`."""
        wanted = round(_ABOVE_USUAL * self._usual) if self._usual is not None else least
        return max(least, min(wanted, most))
