"""The media worker of one session, in memory, and its caller, who speaks and listens as fast as the test runs."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from shared.audio import UPLINK_RATE, samples_in
from shared.events import AgentSpeechEnded, CallerConnected, FlushPlayout, Message, PlayoutReported, PublishEvent
from shared.events import PlayoutState as State
from shared.frames import AudioFrame, SilenceRun
from shared.wire import Item
from tests.fakes.engines import LOUD, FakeVad

MessageT = TypeVar("MessageT", bound=Message)
SESSION, EPOCH = "s1", 1
FRAME = samples_in(20, UPLINK_RATE)


class Receives(Protocol):
    def receive(self, item: Item) -> None: ...


class SessionPeer:
    """Give `send` to the session's link and the session to `connect`."""

    def __init__(self, vad: FakeVad | None = None) -> None:
        self.epoch = EPOCH
        self.sent: list[Item] = []
        self.sent_before: list[Item] = []
        """What the workers before the present one sent."""
        self.played_up_to = 0
        self.reports_flush = True
        self._vad = vad
        self._session: Receives | None = None
        self._seq = 0
        self._position = 0
        self._kept: list[AudioFrame | SilenceRun] = []
        self._sent = asyncio.Event()

    def connect(self, session: Receives) -> None:
        self._session = session
        self.tell(CallerConnected(session=SESSION))

    def take_over(self, session: Receives, uplink_from: int | None) -> None:
        """`session` replaces the present one: it hears the caller again from there on."""
        assert uplink_from is not None
        self._session = session
        published = len([item for item in (*self.sent_before, *self.sent) if isinstance(item, PublishEvent)])
        connected = CallerConnected(session=SESSION, played_up_to=self.played_up_to, published=published)
        self.sent_before += self.sent
        self.sent, self.played_up_to, self.epoch = [], 0, self.epoch + 1
        self.tell(connected)
        for item in self._kept:
            if item.end_sample > uplink_from:
                session.receive(item._replace(epoch=self.epoch))

    def tell(self, item: Item) -> None:
        assert self._session is not None
        if isinstance(item, AudioFrame | SilenceRun):
            self._kept.append(item)
        self._session.receive(item)

    def send(self, inbox_key: str, item: Item) -> None:
        """Receives what the session sends to its media worker."""
        self.sent.append(item)
        self._sent.set()
        if isinstance(item, FlushPlayout) and self.reports_flush:
            self._report("flushed")

    # The caller speaks

    async def speak(self, duration_ms: int) -> None:
        await self._say(duration_ms, LOUD)

    async def be_quiet(self, duration_ms: int) -> None:
        """An open microphone in a quiet room."""
        await self._say(duration_ms, 0)

    def skip_silence(self, duration_ms: int) -> None:
        """No packets: known silence."""
        samples = samples_in(duration_ms, UPLINK_RATE)
        self.tell(SilenceRun(SESSION, self.epoch, self._seq, self._position, UPLINK_RATE, samples))
        self._seq += 1
        self._position += samples

    async def ask(self) -> None:
        """A whole utterance: speech, and silence until its endpoint."""
        await self.speak(600)
        await self.be_quiet(800)

    async def _say(self, duration_ms: int, level: int) -> None:
        for _ in range(duration_ms // 20):
            heard = self._vad.heard_samples if self._vad is not None else 0
            self.tell(self.next_frame(level))
            if self._vad is not None:
                await self._vad.until_heard(heard + FRAME)

    def next_frame(self, level: int = LOUD) -> AudioFrame:
        pcm = np.full(FRAME, level, dtype="<i2").tobytes()
        frame = AudioFrame(SESSION, self.epoch, self._seq, self._position, UPLINK_RATE, 1, pcm)
        self._seq += 1
        self._position += FRAME
        return frame

    # The caller listens

    def play(self, up_to: int) -> None:
        """The caller has heard the agent's audio before this sample."""
        self.played_up_to = max(self.played_up_to, min(up_to, self.audio_end))
        self._report("finished" if self.played_up_to == self._speech_end else "playing")

    async def play_turn(self) -> None:
        """Hear the agent's audio to its end as it comes."""
        await self.until(lambda: self.audio_end > self.played_up_to)
        self.play(self.audio_end)
        while self.played_up_to != self._speech_end:
            await self.until(lambda: self.audio_end > self.played_up_to or self._speech_end == self.played_up_to)
            self.play(self.audio_end)

    def _report(self, state: State) -> None:
        self.tell(PlayoutReported(session=SESSION, played_up_to=self.played_up_to, state=state))

    # What came

    @property
    def audio(self) -> list[AudioFrame]:
        return [item for item in self.sent if isinstance(item, AudioFrame)]

    @property
    def audio_end(self) -> int:
        return self.audio[-1].end_sample if self.audio else 0

    @property
    def _speech_end(self) -> int | None:
        ends = self.all(AgentSpeechEnded)
        return ends[-1].end_sample if ends else None

    def all(self, message_type: type[MessageT]) -> list[MessageT]:
        return [item for item in self.sent if isinstance(item, message_type)]

    def published(self, event_type: str) -> list[dict[str, Any]]:
        return [event.fields for event in self.all(PublishEvent) if event.type == event_type]

    def published_ever(self, event_type: str) -> list[dict[str, Any]]:
        """Also by the workers before the present one."""
        items = (*self.sent_before, *self.sent)
        return [item.fields for item in items if isinstance(item, PublishEvent) and item.type == event_type]

    @property
    def statuses(self) -> list[str]:
        return [fields["status"] for fields in self.published("status")]

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until it is true; it is checked whenever the session sends something."""
        async with asyncio.timeout(5):
            while not reached():
                self._sent.clear()
                await self._sent.wait()

    async def until_status(self, *statuses: str) -> None:
        """The whole history of status words."""
        try:
            await self.until(lambda: self.statuses == list(statuses))
        except TimeoutError:
            assert self.statuses == list(statuses)
