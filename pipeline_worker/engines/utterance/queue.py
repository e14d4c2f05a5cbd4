"""Which utterance a recogniser that takes whole utterances should look at next. No IO, no clock: `now` is passed in.

Such a recogniser starts from the beginning each time, so the text so far costs a pass of its own. Final texts come
first, then those of pauses, which are final if nothing follows; others get at most half of the time, however many
people talk, so they grow rarer and never pile up.

An interim text is due after so much new sound, and at once in a pause: if nothing is heard after it, it is the final
text and costs no further pass. Of a long utterance, what was said up to a pause is settled and looked at no more.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipeline_worker.engines.utterance.sound import FRAME_BYTES, powers, quietest, sounding

_FRAMES_PER_S = 50
_BYTES_PER_S = _FRAMES_PER_S * FRAME_BYTES
_LONGEST_UTTERANCE_BYTES = 60 * _BYTES_PER_S
"""A minute; what is said after it is not recognised."""
MOST_UTTERANCES = 128
"""At most 245 MB of speech."""
_PAUSE_FRAMES = 7
"""140 ms: longer than the silence of most consonants, and half an endpoint at most."""
_MARGIN_FRAMES = 5
"""Of the quiet around the sound the model hears 100 ms. Moonshine understood 65 of 80 single words so, 56 with 160 ms,
61 with 300 ms, 43 without any."""
_NEW_SHARE = 1 / 3
"""An interim text takes so much new sound beside what there is, so that their cost does not grow with its square."""
_LONGEST_PART_FRAMES = 15 * _FRAMES_PER_S
_SETTLED_FRAMES = 7 * _FRAMES_PER_S
"""Of a longer part at least so much is settled."""
_MARKS = ".,;:!?…-–— "


class Hypothesis(NamedTuple):
    """What was understood. `state` is the recogniser's own: it gets it back with the utterance's next pass."""

    text: str
    state: Any = None


class Pass(NamedTuple):
    """One run of the model. `pcm` is 16 kHz, 16 bit, mono."""

    channel: int
    pcm: bytes
    before: Hypothesis | None
    """Of the last pass."""
    settled: str = ""
    """The text of what was said before `pcm`."""
    settles_up_to: int = 0
    """If not 0, the part that ends in this frame is looked at for the last time."""
    final: bool = False
    pause: bool = False
    """Nothing was heard after it."""
    covered: bool = False
    """All of the sound was in the last pass: its text is the result, the model need not run."""


class _Utterance:
    def __init__(self) -> None:
        self.pcm = bytearray()
        self.settled = ""
        self.hypothesis: Hypothesis | None = None
        self._powers = np.zeros(0)
        self._began = 0
        """The frame where that begins which is not settled."""
        self._first = self._end = 0
        """The frames of its sound."""
        self._looked_at = 0
        self._pause_told = 0
        """The sound before the last pause that was looked at ended here."""

    def push(self, pcm: bytes) -> None:
        self.pcm += pcm[: _LONGEST_UTTERANCE_BYTES - len(self.pcm)]
        self._powers = np.concatenate((self._powers, powers(self.pcm[len(self._powers) * FRAME_BYTES :])))
        self._find_sound()

    @property
    def new_frames(self) -> int:
        """Of sound since the last pass."""
        return max(0, self._end - max(self._looked_at, self._first))

    @property
    def urgency(self) -> tuple[bool, int]:
        return self.pauses, self.new_frames

    @property
    def pauses(self) -> bool:
        return len(self._powers) - self._end >= _PAUSE_FRAMES

    @property
    def in_new_pause(self) -> bool:
        return self.pauses and self._pause_told != self._end

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
            self._pause_told = self._end
        pcm = b"" if covered else self._cut(len(self._powers))
        return Pass(channel, pcm, self.hypothesis, self.settled, final=final, pause=self.pauses, covered=covered)

    def understood(self, hypothesis: Hypothesis | None) -> None:
        """What the pass found that was due; None if it failed."""
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
        """The sound with its margins, and with what makes no frame yet."""
        first = max(self._began, self._first - _MARGIN_FRAMES)
        end = min(up_to, self._end + _MARGIN_FRAMES)
        return bytes(self.pcm[first * FRAME_BYTES : None if end == len(self._powers) else end * FRAME_BYTES])


class UtteranceQueue:
    def __init__(self, interim_s: float) -> None:
        """`interim_s`: new speech that an interim text takes at least; 0 for none."""
        self._interim_frames = int(interim_s * _FRAMES_PER_S)
        self._utterances: dict[int, _Utterance] = {}
        self._finished: dict[int, _Utterance] = {}
        self._interims_from = 0.0

    @property
    def waits_for_speech(self) -> bool:
        """Nothing becomes due by time alone."""
        return next(self._due(), None) is None

    def open(self, channel: int) -> bool:
        """False when there are too many already."""
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
        """What to do now; `done` must follow."""
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
        """The text to tell whoever waits for it, None if nobody does. `hypothesis` is None if the model failed."""
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
        # Recognisers end every text like a sentence; in the middle of the sound that means nothing.
        return heard if work.pause else heard.rstrip(_MARKS)

    def _due(self, *, in_pauses_only: bool = False) -> Iterator[tuple[int, _Utterance]]:
        if self._interim_frames:
            for channel, utterance in self._utterances.items():
                if (utterance.in_new_pause or not in_pauses_only) and utterance.wants_interim(self._interim_frames):
                    yield channel, utterance
