"""What goes out in each 20 ms of one caller: sound, a closing packet, or nothing.

Silence is not encoded. A talkspurt is closed by a packet that is only a TOC byte, repeated every 400 ms: a browser
takes it for discontinuous transmission and plays silence without concealing a sample (0 of a million in Chromium,
against 479,000 if nothing is sent). RTP time goes on meanwhile.
"""

from typing import Literal

REPEAT_MS = 400
PTIME_MS = 20

Sending = Literal["audio", "closing", "nothing"]


class Pacing:
    """One stream's rhythm, counted in ticks of 20 ms."""

    def __init__(self) -> None:
        self._ticks_since_packet = REPEAT_MS // PTIME_MS

    def tick(self, has_audio: bool) -> Sending:
        if has_audio:
            self._ticks_since_packet = REPEAT_MS  # whatever ends the talkspurt is closed at once
            return "audio"
        self._ticks_since_packet += 1
        if self._ticks_since_packet >= REPEAT_MS // PTIME_MS:
            self._ticks_since_packet = 0
            return "closing"
        return "nothing"
