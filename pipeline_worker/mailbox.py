"""What a session still has to take in: audio and messages, each bounded, neither in the other's way."""

import asyncio

from prometheus_client import Counter

from shared.errors import PeerError
from shared.events import Message
from shared.frames import AudioFrame, SilenceRun
from shared.wire import Item

MAX_AUDIO = 250
"""Five seconds of frames."""
MAX_MESSAGES = 1_000

_dropped = Counter("antiphon_session_audio_dropped_total", "Frames dropped because a session did not keep up")


class Mailbox:
    """Full of audio, it drops the oldest: late speech is worth less than new. Messages are never dropped."""

    def __init__(self) -> None:
        self._audio: asyncio.Queue[AudioFrame | SilenceRun] = asyncio.Queue(MAX_AUDIO)
        self._messages: asyncio.Queue[Message] = asyncio.Queue(MAX_MESSAGES)

    def put(self, item: Item) -> None:
        """Raises `PeerError` when there are more messages than any client has reason to send."""
        if isinstance(item, Message):
            try:
                self._messages.put_nowait(item)
            except asyncio.QueueFull as error:
                raise PeerError(f"{MAX_MESSAGES} messages are waiting", code="message_flood") from error
            return
        if self._audio.full():
            self._audio.get_nowait()
            _dropped.inc()
        self._audio.put_nowait(item)

    async def next_audio(self) -> AudioFrame | SilenceRun:
        return await self._audio.get()

    async def next_message(self) -> Message:
        return await self._messages.get()
