"""The speech of one text by a Piper voice, slice by slice. The first slice is short."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.piper.phoneme_alignment import ends_of_words
from pipeline_worker.engines.piper.vits_model import Floats, Latents
from pipeline_worker.engines.piper.voice import Voice
from shared.audio import samples_in

_FIRST_SLICE_MS = 500
"""16 ms less starts 1 ms sooner, but is more often played out before the next slice is ready."""
_SLICE_MS = 1000
_SHORTEST_REST = 0.5
"""In slices: a shorter rest is added to the previous slice."""
_LEADING_SILENCE_MS = 30
_SILENCE = 0.002
"""-54 dBFS. A quieter beginning is inaudible and is trimmed."""
_KNEE = 0.8
"""Louder samples, which are rare, are compressed."""


class Slice(NamedTuple):
    samples: NDArray[np.int16]
    last: bool


class Speech:
    """Call `begin` first; it takes longer than a slice."""

    def __init__(self, voice: Voice, text: str, speaker: int | None, length_scale: float) -> None:
        self.sample_rate: int = voice.config.sample_rate
        self._voice = voice
        self._text = text
        self._speaker = voice.speaker_number(speaker)
        self._length_scale = length_scale
        self._latents: Latents | None = None
        self._word_ends: list[int] = []
        self._made_frames = 0
        self._trimmed: int | None = None

    @property
    def begun(self) -> bool:
        return self._latents is not None

    @property
    def word_ends(self) -> list[int]:
        """Where the last sound of each word of `text.split()` ends, in samples. Correct after the first slice."""
        return [max(0, end - (self._trimmed or 0)) for end in self._word_ends]

    def begin(self) -> None:
        phonemes = self._voice.phonemes(self._text)
        words = [self._voice.phonemes(word) for word in self._text.split()]
        self._latents = self._voice.encode(phonemes, self._speaker, self._length_scale)
        passed = self._voice.frames_passed(phonemes, self._latents)
        ends = ends_of_words(phonemes, words)
        self._word_ends = [round(passed[end] * self._voice.model.hop) if end else 0 for end in ends]

    def next_slice(self) -> Slice:
        """Empty only if the text has no sound."""
        if self._latents is None:
            raise ValueError("call begin first")
        samples: Floats = np.zeros(0, dtype=np.float32)
        while not len(samples) and self._made_frames < self._latents.frames:
            first, self._made_frames = self._made_frames, self._end_of_slice(self._latents.frames)
            samples = self._voice.model.decode(self._latents, first, self._made_frames)
            samples = samples * np.float32(self._voice.gain(self._speaker))
            if self._trimmed is None:
                samples = self._without_silence(samples, first)
        return Slice(_as_pcm(samples), self._made_frames >= self._latents.frames)

    def _end_of_slice(self, frames: int) -> int:
        length_ms = _SLICE_MS if self._made_frames else _FIRST_SLICE_MS
        length = max(1, samples_in(length_ms, self.sample_rate) // self._voice.model.hop)
        rest = frames - self._made_frames
        return frames if rest < length * (1 + _SHORTEST_REST) else self._made_frames + length

    def _without_silence(self, samples: Floats, first_frame: int) -> Floats:
        """Keeps 30 ms before the first sound."""
        loud = np.flatnonzero(np.abs(samples) > _SILENCE)
        if not len(loud):
            return samples[:0]
        silent = max(0, int(loud[0]) - samples_in(_LEADING_SILENCE_MS, self.sample_rate))
        self._trimmed = first_frame * self._voice.model.hop + silent
        return samples[silent:]


def _as_pcm(samples: Floats) -> NDArray[np.int16]:
    over = np.maximum(np.abs(samples) - _KNEE, 0)
    room = 1 - _KNEE
    level = np.minimum(np.abs(samples), _KNEE) + room * np.tanh(over / room)
    pcm: NDArray[np.int16] = np.rint(np.copysign(level, samples) * 32767).astype("<i2")
    return pcm
