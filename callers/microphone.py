"""The caller's microphone: mixes sounds in real time, in frames of 20 ms."""

import asyncio
from fractions import Fraction

import numpy as np
from aiortc import MediaStreamTrack
from av import AudioFrame

from callers.recording import loud_span
from callers.voice import RATE
from shared.audio import Pcm

_FRAME = RATE // 50
_FRAME_S = 0.02


class Sound:
    """A sound that the microphone picks up. Times are of the loop's clock."""

    def __init__(self, samples: Pcm) -> None:
        self._samples = samples
        self._given = 0
        self._span = loud_span(samples, RATE)
        self._began_s = 0.0
        self.late_s = 0.0
        """How late it was sent at most, because the machine was busy."""
        self.over = asyncio.Event()

    @property
    def length_s(self) -> float:
        return len(self._samples) / RATE

    @property
    def onset_s(self) -> float:
        """When its loud part began. Valid once the first sample was sent."""
        return self._began_s + self._span.onset_s

    @property
    def end_s(self) -> float:
        """When its loud part ended. Valid once the first sample was sent."""
        return self._began_s + self._span.end_s

    def take(self, frame_s: float, late_s: float) -> Pcm:
        """The samples for the frame that begins at `frame_s`, and is sent so late."""
        if not self._given:
            self._began_s = frame_s
        self.late_s = max(self.late_s, late_s)
        piece = self._samples[self._given : self._given + _FRAME]
        self._given += _FRAME
        if self._given >= len(self._samples):
            self.over.set()
        return piece


class Microphone(MediaStreamTrack):
    """Like a real one, it sends a sample at the end of the frame that holds it."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._sounds: list[Sound] = []
        self._began_s: float | None = None
        self._frames = 0
        self.muted = False

    def play(self, samples: Pcm) -> Sound:
        """Start a sound (48 kHz mono) now, on top of the sounds that are playing."""
        sound = Sound(samples)
        self._sounds.append(sound)
        return sound

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        if self._began_s is None:
            self._began_s = loop.time()
        frame_s = self._began_s + self._frames * _FRAME_S
        await asyncio.sleep(max(0.0, frame_s + _FRAME_S - loop.time()))
        late_s = loop.time() - frame_s - _FRAME_S
        mix = np.zeros(_FRAME, np.int32)
        for sound in self._sounds:
            piece = sound.take(frame_s, late_s)
            mix[: len(piece)] += piece
        self._sounds = [sound for sound in self._sounds if not sound.over.is_set()]
        heard = np.zeros(_FRAME, np.int16) if self.muted else np.clip(mix, -32_768, 32_767).astype(np.int16)
        frame = AudioFrame.from_ndarray(heard[None, :], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._frames * _FRAME, Fraction(1, RATE)
        self._frames += 1
        return frame
