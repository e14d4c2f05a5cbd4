"""Schedules the passes of a recognizer over whole utterances. No IO, no clock: `now` is passed in.

Each pass starts at the beginning of the utterance, so an interim text costs as much as a final one. Final texts come
first, then texts in pauses, which become final if nothing follows. Other interim texts get at most half of the time, so
with many callers they become rarer and never pile up.

An interim text is due after a certain amount of new sound, and at once in a pause: without sound after it, it becomes
the final text at no further cost. A long utterance is settled up to a pause, and that part is not recognized again.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipeline_worker.engines.utterance.sound import FRAME_BYTES, powers, quietest, sounding

_FRAMES_PER_S = 50
_BYTES_PER_S = _FRAMES_PER_S * FRAME_BYTES
_LONGEST_UTTERANCE_BYTES = 60 * _BYTES_PER_S
"""A minute. Later speech is not recognized."""
MOST_UTTERANCES = 128
"""At most 245 MB of speech."""
_PAUSE_FRAMES = 7
"""140 ms: longer than the silence of most consonants, and at most half of an endpoint."""
_MARGIN_FRAMES = 5
"""The model also gets 100 ms of silence on each side. Moonshine recognized 65 of 80 single words with this margin, 56
with 160 ms, 61 with 300 ms, 43 with none."""
_NEW_SHARE = 1 / 3
"""An interim text needs this share of new sound, so that the cost does not grow with the square of the length."""
_LONGEST_PART_FRAMES = 15 * _FRAMES_PER_S
_SETTLED_FRAMES = 7 * _FRAMES_PER_S
"""At least this much of a longer part is settled."""
_MARKS = ".,;:!?…-–— "


class Hypothesis(NamedTuple):
    """A recognized text. `state` belongs to the recognizer, which gets it back in the utterance's next pass."""

    text: str
    state: Any = None


class Pass(NamedTuple):
    """One run of the model. `pcm` is 16 kHz, 16 bit, mono."""

    channel: int
    pcm: bytes
    before: Hypothesis | None
    """Hypothesis of the last pass."""
    settled: str = ""
    """The text of the speech before `pcm`."""
    settles_up_to: int = 0
    """If not 0, this is the last pass over the part that ends at this frame."""
    final: bool = False
    pause: bool = False
    """The sound ends in a pause."""
    covered: bool = False
    """The last pass had all of the sound: its text is the result, and the model need not run."""


class _Utterance:
    def __init__(self) -> None:
        self.pcm = bytearray()
        self.settled = ""
        self.hypothesis: Hypothesis | None = None
        self._powers = np.zeros(0)
        self._began = 0
        """First frame of the part that is not settled."""
        self._first = self._end = 0
        """The range of frames with sound."""
        self._looked_at = 0
        self._last_pause = 0
        """Where the sound ended before the last pause that got a pass."""

    def push(self, pcm: bytes) -> None:
        self.pcm += pcm[: _LONGEST_UTTERANCE_BYTES - len(self.pcm)]
        self._powers = np.concatenate((self._powers, powers(self.pcm[len(self._powers) * FRAME_BYTES :])))
        self._find_sound()

    @property
    def new_frames(self) -> int:
        """Frames of sound since the last pass."""
        return max(0, self._end - max(self._looked_at, self._first))

    @property
    def urgency(self) -> tuple[bool, int]:
        return self.pauses, self.new_frames

    @property
    def pauses(self) -> bool:
        return len(self._powers) - self._end >= _PAUSE_FRAMES

    @property
    def in_new_pause(self) -> bool:
        return self.pauses and self._last_pause != self._end

    def wants_interim(self, least_frames: int) -> bool:
        least = max(1, least_frames, int(_NEW_SHARE * (self._end - self._first)))
        return self.in_new_pause or self.new_frames >= least

    def look(self, channel: int, *, final: bool) -> Pass:
        if self._end - self._first > _LONGEST_PART_FRAMES:
            settles = slice(self._first + _SETTLED_FRAMES, self._first + _LONGEST_PART_FRAMES)
            cut = settles.start + quietest(self._powers[settles])
            return Pass(channel, self._cut(cut), self.hypothesis, self.settled, settles_up_to=cut)
        covered = not self.new_frames and (self.hypothesis is not None or self._end == self._first)
        self._looked_at = self._end
        if self.pauses:
            self._last_pause = self._end
        pcm = b"" if covered else self._cut(len(self._powers))
        return Pass(channel, pcm, self.hypothesis, self.settled, final=final, pause=self.pauses, covered=covered)

    def understood(self, hypothesis: Hypothesis | None) -> None:
        """Records the result of a pass; None if it failed."""
        self.hypothesis = hypothesis
        if hypothesis is None:
            self._looked_at = 0

    def settle(self, text: str, up_to: int) -> None:
        self.settled, self.hypothesis, self._began, self._looked_at = text, None, up_to, up_to
        self._find_sound()

    def _find_sound(self) -> None:
        stretch = sounding(self._powers[self._began :])
        self._first, self._end = (self._began + at for at in stretch or (0, 0))

    def _cut(self, up_to: int) -> bytes:
        """The sound with its margins and the incomplete last frame."""
        first = max(self._began, self._first - _MARGIN_FRAMES)
        end = min(up_to, self._end + _MARGIN_FRAMES)
        return bytes(self.pcm[first * FRAME_BYTES : None if end == len(self._powers) else end * FRAME_BYTES])


class UtteranceQueue:
    def __init__(self, interim_s: float) -> None:
        """`interim_s`: least new speech for an interim text; 0: no interim texts."""
        self._interim_frames = int(interim_s * _FRAMES_PER_S)
        self._utterances: dict[int, _Utterance] = {}
        self._finished: dict[int, _Utterance] = {}
        self._interims_from = 0.0

    @property
    def waits_for_speech(self) -> bool:
        """Whether nothing becomes due by time alone."""
        return next(self._due(), None) is None

    def open(self, channel: int) -> bool:
        """False if the queue is full."""
        if len(self._utterances) + len(self._finished) >= MOST_UTTERANCES:
            return False
        self._utterances[channel] = _Utterance()
        return True

    def push(self, channel: int, pcm: bytes) -> None:
        if utterance := self._utterances.get(channel):
            utterance.push(pcm)

    def finish(self, channel: int) -> None:
        if utterance := self._utterances.pop(channel, None):
            self._finished[channel] = utterance

    def cancel(self, channel: int) -> None:
        self._utterances.pop(channel, None)
        self._finished.pop(channel, None)

    def next(self, now: float) -> Pass | None:
        """The next pass; `done` must follow."""
        for channel, utterance in self._finished.items():
            work = utterance.look(channel, final=True)
            if work.final:
                del self._finished[channel]
            return work
        urgent = now < self._interims_from
        if due := max(self._due(in_pauses_only=urgent), key=lambda item: item[1].urgency, default=None):
            channel, utterance = due
            return utterance.look(channel, final=False)
        return None

    def done(self, work: Pass, hypothesis: Hypothesis | None, began: float, ended: float) -> str | None:
        """Returns the text to report, None if nobody waits for it. `hypothesis` is None if the model failed."""
        heard = f"{work.settled} {hypothesis.text.strip() if hypothesis else ''}".strip()
        if work.final:
            return heard
        if not work.pause:
            self._interims_from = ended + (ended - began)
        utterance = self._utterances.get(work.channel) or self._finished.get(work.channel)
        if utterance is None:
            return None
        if work.settles_up_to:
            utterance.settle(heard, work.settles_up_to)
        else:
            utterance.understood(hypothesis)
        if work.channel in self._finished:
            return None
        # Recognizers end every text like a sentence, which means nothing in the middle of speech.
        return heard if work.pause else heard.rstrip(_MARKS)

    def _due(self, *, in_pauses_only: bool = False) -> Iterator[tuple[int, _Utterance]]:
        if self._interim_frames:
            for channel, utterance in self._utterances.items():
                if (utterance.in_new_pause or not in_pauses_only) and utterance.wants_interim(self._interim_frames):
                    yield channel, utterance
