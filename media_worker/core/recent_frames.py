"""The caller's last seconds, for a pipeline worker that takes over and has to hear them again."""

from collections import deque
from collections.abc import Iterator

from shared.audio import PTIME_MS
from shared.frames import AudioFrame, SilenceRun

KEPT_S = 5
_FRAMES_KEPT = KEPT_S * 1000 // PTIME_MS


class RecentFrames:
    """Keeps references to frames, so five seconds of sound take 160 kB. Silence is one run, whatever its length."""

    def __init__(self) -> None:
        self._frames: deque[AudioFrame | SilenceRun] = deque(maxlen=_FRAMES_KEPT)

    def add(self, frame: AudioFrame | SilenceRun) -> None:
        if type(frame) is SilenceRun:
            self._add_silence(frame)
        else:
            self._frames.append(frame)

    def since(self, first_sample: int) -> Iterator[AudioFrame | SilenceRun]:
        """What is kept from that sample on, oldest first. The first frame may begin a little earlier."""
        for frame in self._frames:
            if frame.end_sample <= first_sample:
                continue
            if type(frame) is SilenceRun and frame.first_sample < first_sample:
                yield frame._replace(first_sample=first_sample, samples=frame.end_sample - first_sample)
            else:
                yield frame

    def _add_silence(self, run: SilenceRun) -> None:
        frames = self._frames
        if frames and type(last := frames[-1]) is SilenceRun:
            frames.pop()
            # Under the number of the newer run, so that the numbers of frames still grow.
            run = run._replace(first_sample=last.first_sample, samples=last.samples + run.samples)
        frames.append(run)
        while frames[0].end_sample <= run.end_sample - KEPT_S * run.sample_rate:
            frames.popleft()
