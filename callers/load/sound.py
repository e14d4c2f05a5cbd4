"""The packets that all callers send."""

import base64

from callers.load.marked_sound import RATE, marked
from callers.opus_packets import browser_packets
from callers.voice import Voice, synthesizer

_TEXT = (
    "Good evening, and thank you for calling. I would like to know whether you still have a table for four people on "
    "Friday at seven, near the window if that is possible. We are coming by train, so please tell me which way to "
    "walk from the station. One of us does not eat fish, and another one is allergic to nuts. That would be all."
)


async def marked_packets() -> list[str]:
    """Opus packets of the marked sound, in base64. Raises `EngineError`."""
    async with synthesizer() as voices:
        speech = await voices.speech(_TEXT, Voice(rate=165))
    return [base64.b64encode(packet).decode() for packet in browser_packets(marked(speech), RATE)]
