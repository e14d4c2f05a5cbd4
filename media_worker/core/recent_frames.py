"""The caller's last seconds, for a pipeline worker that takes over and has to hear them again."""

from collections import deque
from collections.abc import Iterator

from shared.audio import PTIME_MS
from shared.frames import AudioFrame, SilenceRun

KEPT_S = 5
_FRAMES_KEPT = KEPT_S * 1000 // PTIME_MS


class RecentFrames:
    """Keeps references to frames, so five seconds of sound take 200 kB. Silence is one run, whatever its length."""

    def __init__(self) -> None:
        self._frames: deque[AudioFrame | SilenceRun] = deque(maxlen=_FRAMES_KEPT)
        self._silence: tuple[SilenceRun, SilenceRun] | None = None
        """The first and the last run of the present silence."""

    def add(self, frame: AudioFrame | SilenceRun) -> None:
        if type(frame) is SilenceRun:
            self._add_silence(frame)
            return
        if self._silence is not None:
            self._frames.append(_merged(*self._silence))
            self._silence = None
        self._frames.append(frame)

    def since(self, first_sample: int) -> Iterator[AudioFrame | SilenceRun]:
        """What is kept from that sample on, oldest first. The first frame may begin a little earlier."""
        silence = () if self._silence is None else (_merged(*self._silence),)
        for frame in (*self._frames, *silence):
            if frame.end_sample <= first_sample:
                continue
            if type(frame) is SilenceRun and frame.first_sample < first_sample:
                yield frame._replace(first_sample=first_sample, samples=frame.end_sample - first_sample)
            else:
                yield frame

    def _add_silence(self, run: SilenceRun) -> None:
        first = run if self._silence is None else self._silence[0]
        self._silence = first, run
        if self._frames and run.first_sample - first.first_sample >= KEPT_S * run.sample_rate:
            self._frames.clear()


def _merged(first: SilenceRun, last: SilenceRun) -> SilenceRun:
    """Under the number of the last run, so that the numbers of frames still grow."""
    return last._replace(first_sample=first.first_sample, samples=last.end_sample - first.first_sample)
