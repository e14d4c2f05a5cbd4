"""An agent that plays the caller's own voice back, with no delay of its own: for benches and microphone tests."""

import asyncio

from pipeline_worker.media_link import MediaLink
from shared.audio import UPLINK_RATE
from shared.events import CallerConnected, SessionClosed
from shared.frames import AudioFrame
from shared.wire import Item


class EchoSession:
    """Each frame goes back in the tick in which it came; silence is not sound, so it does not."""

    def __init__(self, link: MediaLink) -> None:
        self._link = link
        self._over = asyncio.Event()
        self._seq = 0
        self._next_sample = 0

    async def run(self) -> None:
        """Until the session is over."""
        await self._over.wait()

    def receive(self, item: Item) -> None:
        if isinstance(item, AudioFrame):
            if item.epoch == self._link.epoch and item.sample_rate == UPLINK_RATE and item.channels == 1:
                self._echo(item)
        elif isinstance(item, CallerConnected):
            self._link.publish_status("listening")
        elif isinstance(item, SessionClosed):
            self._over.set()

    def end(self, reason: str) -> None:
        if not self._over.is_set():
            self._link.end_session(reason)
            self._over.set()

    def _echo(self, frame: AudioFrame) -> None:
        self._link.send_audio(self._seq, self._next_sample, UPLINK_RATE, frame.pcm)
        self._seq += 1
        self._next_sample += frame.samples
