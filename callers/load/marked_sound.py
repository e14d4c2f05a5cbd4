"""A sound that callers say and recognise when it comes back: speech with a short tone in it every second.

The tones have eight pitches in turn, so that a tone tells its second for delays of up to eight seconds. They are higher
than what is pure in speech. Each has quiet around it, so that its beginning is known to a millisecond.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from callers.opus_packets import browser_packets
from callers.voice import Voice, synthesizer
from media_worker.opus import Decoder
from shared.audio import Pcm, as_samples

RATE = 48_000
PACKETS_PER_MARK = 50
MARK_PACKET = 40
"""Of each 50 packets, the one with which a tone begins."""
PITCHES = 8
_HEARD_RATE = 16_000
_TONE_S = 0.06
_QUIET_BEFORE_S = 0.1
_TONE_LEVEL = 9_000.0
_NOISE_RMS = 26.0
"""Room noise (-62 dBFS). Codecs behave differently in digital silence."""
_FRAME = _HEARD_RATE // 50
_BLOCK = _HEARD_RATE // 1_000
_PITCH_HZ = 2_000 + 200 * np.arange(PITCHES)
_BINS = _PITCH_HZ * _FRAME // _HEARD_RATE
_PURE = 0.8
_LOUD_RMS = 800.0
_WINDOW = np.hanning(_FRAME)

_TEXT = (
    "Good evening, and thank you for calling. I would like to know whether you still have a table for four people on "
    "Friday at seven, near the window if that is possible. We are coming by train, so please tell me which way to "
    "walk from the station. One of us does not eat fish, and another one is allergic to nuts. That would be all."
)


def mark_at(packet: int) -> int | None:
    """The pitch (0 to 7) of the tone that begins with this packet of the sound."""
    return packet // PACKETS_PER_MARK % PITCHES if packet % PACKETS_PER_MARK == MARK_PACKET else None


def marked(speech: Pcm) -> Pcm:
    """`speech` (48 kHz), cut to whole rounds of the eight pitches, with room noise and tones."""
    seconds = max(PITCHES, len(speech) // RATE // PITCHES * PITCHES)
    line = np.resize(speech, seconds * RATE).astype(np.float64) * 0.7
    tone_s = np.arange(int(_TONE_S * RATE)) / RATE
    for second in range(seconds):
        begin = second * RATE + MARK_PACKET * RATE // PACKETS_PER_MARK
        line[begin - int(_QUIET_BEFORE_S * RATE) : (second + 1) * RATE] = 0
        pitch_hz = float(_PITCH_HZ[second % PITCHES])
        line[begin : begin + len(tone_s)] = _TONE_LEVEL * np.sin(2 * np.pi * pitch_hz * tone_s)
    line += np.random.default_rng(1).standard_normal(len(line)) * _NOISE_RMS
    return np.clip(line, -32_768, 32_767).astype(np.int16)


async def marked_packets() -> list[str]:
    """What all callers send: Opus packets of the marked sound, in base64. Raises `EngineError`."""
    async with synthesizer() as voices:
        speech = await voices.speech(_TEXT, Voice(rate=165))
    return [base64.b64encode(packet).decode() for packet in browser_packets(marked(speech), RATE)]


class MarkListener:
    """Finds the tones in packets that come in order."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._before: NDArray[Any] = np.zeros(_FRAME)
        self._in_tone = False

    def hear(self, payload: bytes) -> tuple[int, float] | None:
        """The pitch of a tone that has begun, and when: in seconds from the beginning of this packet."""
        frame = as_samples(self._decoder.decode(payload)).astype(np.float64)
        if len(frame) != _FRAME:
            return None
        before, self._before = self._before, frame
        pitch = _pitch(frame)
        was_in_tone, self._in_tone = self._in_tone, pitch is not None
        if pitch is None or was_in_tone:
            return None
        return pitch, _onset(before, frame) / _HEARD_RATE


def _pitch(frame: NDArray[Any]) -> int | None:
    if np.sqrt(np.mean(frame**2)) < _LOUD_RMS:
        return None
    power = np.abs(np.fft.rfft(frame * _WINDOW)) ** 2
    near = power[_BINS - 1] + power[_BINS] + power[_BINS + 1]
    best = int(np.argmax(near))
    return best if near[best] > _PURE * power.sum() else None


def _onset(before: NDArray[Any], frame: NDArray[Any]) -> int:
    """The first sample of the tone, relative to `frame`; what was loud and joins it belongs to it."""
    blocks = np.sqrt(np.mean(np.concatenate([before, frame]).reshape(-1, _BLOCK) ** 2, axis=1))
    quiet = np.flatnonzero(blocks[: len(blocks) * 3 // 4] < blocks.max() / 4)
    first = int(quiet[-1]) + 1 if len(quiet) else 0
    return first * _BLOCK - len(before)
