"""When an utterance begins and is over: talkspurts without too long a silence between them are one utterance.

How long is too long depends on what was said. Words that sound unfinished are given the longest time; a sentence with
its mark at the end the shortest; otherwise the caller's own pauses decide, between the two. After a part of that time
the end is likely, which is the moment to prepare a reply. While the agent speaks a pause is none: whether the caller
wants the floor must be decided at once, so every talkspurt is an utterance of its own.
"""

from pipeline_worker.hearing.completeness import Completeness, completeness
from pipeline_worker.hearing.talkspurts import SpeechEvent, TalkspurtEnded, TalkspurtStarted
from pipeline_worker.turns.events import EndLikely, UtteranceEnded, UtteranceResumed, UtteranceStarted
from shared.agent import TurnTaking
from shared.audio import UPLINK_RATE, samples_in

_LIKELY_AFTER = {Completeness.FINISHED: 0.0, Completeness.OPEN: 0.6}
"""The part of the silence after which the end is likely."""
_LONGEST = 60 * UPLINK_RATE
"""An utterance as long as this is over: whoever makes it (a radio) must not keep the agent waiting for ever."""

_NEWEST_COUNTS = 0.3
_ABOVE_USUAL = 1.5
"""An endpoint lies half as far again beyond the caller's usual pause."""

UtteranceEvent = UtteranceStarted | EndLikely | UtteranceResumed | UtteranceEnded


class Endpointing:
    """A silence shorter than the talkspurts' hangover cannot be seen: the endpoint then comes with the hangover."""

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
        """The same, and after the endpoint too, as long as going on would show that it came too early."""
        self._text = ""
        self._kind = Completeness.OPEN
        self._likely: str | None = None

    @property
    def open(self) -> bool:
        """An utterance has begun and is not over."""
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
        """The words of an utterance so far; those of an earlier one come too late."""
        if utterance == self._utterance and self.open:
            self._text, self._kind = text, completeness(text, self._language)

    def answered(self) -> None:
        """The agent speaks: a silence before the caller's next words is no pause of theirs."""
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
        """The open utterance is over, whatever was heard."""
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
    """How long this caller pauses within what they say: a running estimate, in samples."""

    def __init__(self) -> None:
        self._usual: float | None = None

    def add(self, samples: int) -> None:
        """The caller paused for so long, and went on."""
        self._usual = samples if self._usual is None else self._usual + _NEWEST_COUNTS * (samples - self._usual)

    def endpointing(self, least: int, most: int) -> int:
        """The silence that ends an utterance, between `least` and `most`."""
        wanted = round(_ABOVE_USUAL * self._usual) if self._usual is not None else least
        return max(least, min(wanted, most))
