"""Delays of a known sound, measured in the received sound itself, not by counters of the system under test."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from callers.likeness import position_of
from callers.rtp_caller import Received
from media_worker.core.rtp import signed_difference
from media_worker.opus import Decoder
from shared.audio import Pcm, as_samples

RATE = 16_000
_WINDOW = RATE // 2
_STEP = RATE // 5
_SEARCH = RATE + RATE // 2
"""How far around its expected position a sound is searched for."""
_LOUD_RMS = 300.0
_SAME = 0.7
_BUFFER_S = 0.06
_TICKS_PER_SAMPLE = 3


class Piece(NamedTuple):
    arrived_s: float
    pcm: Pcm


class Delay(NamedTuple):
    """The delay of the sound at `sent_sample`, which was heard `shift` samples later."""

    sent_sample: int
    delay_s: float
    shift: int


class Heard:
    """Received pieces of audio, concatenated."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        kept = [piece for piece in pieces if len(piece.pcm)]
        self.pcm: Pcm = np.concatenate([np.zeros(0, np.int16), *(piece.pcm for piece in kept)])
        self._ends = np.cumsum([len(piece.pcm) for piece in kept])
        self._arrived = [piece.arrived_s for piece in kept]

    def delays(self, original: Pcm, began_s: float) -> list[Delay]:
        """The delays of loud half seconds of the original, whose sample 0 was spoken at `began_s`.

        Each half second ends with a piece, whose arrival completes it. Those too damaged to be recognised are left out.
        """
        found: list[Delay] = []
        shift = previous = 0
        for arrived_s, end in zip(self._arrived, self._ends, strict=True):
            start = int(end) - _WINDOW
            if start < previous + _STEP:
                continue
            previous = start
            window = self.pcm[start:end].astype(np.float64)
            if np.sqrt((window**2).mean()) < _LOUD_RMS:
                continue
            first = max(0, start - shift - _SEARCH)
            part = original[first : start - shift + _SEARCH + _WINDOW].astype(np.float64)
            position = position_of(window, part, _SAME)
            if position is not None:
                place = first + position
                shift = start - place
                found.append(Delay(place, arrived_s - began_s - (place + _WINDOW) / RATE, shift))
        return found


class Played(NamedTuple):
    """The output of a receiver with a fixed buffer of 60 ms. A browser's buffer adapts, which is harder to judge."""

    heard: Heard
    late: int
    concealed_samples: int


def play_out(packets: list[Received]) -> Played:
    """Decode in order, conceal lost and late packets, and insert silence where nothing was sent."""
    first = packets[0]
    transits = [p.arrived_s - _media_s(p, first) for p in packets]
    deadline_s = min(transits) + _BUFFER_S
    in_time = [p for p, transit in zip(packets, transits, strict=True) if transit <= deadline_s]
    decoder = Decoder()
    pieces: list[Piece] = []
    concealed = 0
    last: Received | None = None
    for packet in sorted({p.seq: p for p in in_time}.values(), key=lambda p: signed_difference(p.seq, first.seq, 16)):
        if last is not None:
            gap = signed_difference(packet.timestamp, last.timestamp, 32) // _TICKS_PER_SAMPLE - RATE // 50
            missing = signed_difference(packet.seq, last.seq, 16) - 1
            lost = max(0, min(gap, missing * RATE // 50))
            concealed += lost
            pieces.append(Piece(packet.arrived_s, np.zeros(max(0, gap - lost), np.int16)))
            pieces.append(Piece(packet.arrived_s, as_samples(decoder.conceal(lost))))
        pieces.append(Piece(packet.arrived_s, as_samples(decoder.decode(packet.payload))))
        last = packet
    return Played(Heard(pieces), len(packets) - len(in_time), concealed)


def _media_s(packet: Received, first: Received) -> float:
    return signed_difference(packet.timestamp, first.timestamp, 32) / 48_000
