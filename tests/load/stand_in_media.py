"""A fake media worker: its callers ask, wait until the answer is played out, and ask again.

Each session sends what a media worker sends: 20 ms frames of speech, then frames of room noise (an open microphone) or
silence runs (DTX). The agent's speech is "played" in real time, and reported every 100 ms.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared import keys
from shared.audio import UPLINK_RATE, Pcm
from shared.events import (
    AgentSpeechEnded,
    CallerConnected,
    EndSession,
    FlushPlayout,
    PausePlayout,
    PipelineAttached,
    PlayoutReported,
    PublishEvent,
    ResumePlayout,
    SessionClosed,
    StartPipeline,
)
from shared.frames import AudioFrame, SilenceRun
from shared.io import broker
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox
from shared.wire import Item, encode_message

WORKER = "stand-in"
_FRAME = UPLINK_RATE // 50
_SLOT_S = 0.005
_SLOTS = 4
_REPORT_S = 0.1
_CUSHION_S = 0.04
_DTX_STEP = UPLINK_RATE // 10
_REPLY_TIMEOUT_S = 15.0
_LISTEN_S = 1.0


@dataclass
class _Session:
    session: str
    epoch: int = 1
    pipeline: str | None = None
    position: int = 0
    seq: int = 0
    questions: int = 0
    """The number of the current or the next question."""
    speech_at: int | None = None
    """The position in the question; None while the caller is silent."""
    silent_until_s: float = 0.0
    asked_s: float = 0.0
    rate: int = 24_000
    buffered: int = 0
    played: int = 0
    end_sample: int | None = None
    play_from_s: float | None = None
    reported_s: float = 0.0
    first_audio_s: list[float] = field(default_factory=list)
    turns: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    """For each answered question, the delay to its first audio, and the worker's metrics of the turn."""
    spoke_s: float = 0.0
    listened_s: float = 0.0
    unanswered: int = 0
    errors: list[str] = field(default_factory=list)


class StandInMedia:
    def __init__(self, url: str, questions: Sequence[Pcm], dtx: bool) -> None:
        """Each caller asks all questions in turn. Callers start at different ones."""
        self._client = broker.connect(url)
        self._outbox = Outbox(self._client, WORKER)
        self._inbox = Inbox(broker.connect_blocking(url), keys.inbox("media", WORKER))
        self._questions = [_frames(question) for question in questions]
        self._noise = _frames((np.random.default_rng(5).standard_normal(50 * _FRAME) * 26.0).astype(np.int16))
        self._dtx = dtx
        self.callers: dict[str, _Session] = {}
        self.worst_late_s = 0.0

    async def run(self) -> None:
        """Runs until its task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._listen())
            tasks.create_task(self._clock())

    async def open(self, count: int, agent_id: str) -> None:
        """Open `count` more sessions, and wait until pipeline workers have taken them."""
        apart = max(1, len(self._questions) // count)
        for index in range(count):
            number = len(self.callers)
            session = f"load-{number}"
            # Callers start at different times, so that they do not all speak at once.
            begins_s = time.monotonic() + 2 + index * 5.0 / count
            self.callers[session] = _Session(session, questions=number * apart, silent_until_s=begins_s)
            start = StartPipeline(session=session, agent_id=agent_id, media_worker=WORKER)
            await self._client.rpush(keys.jobs("default"), encode_message(start))
        async with asyncio.timeout(30):
            while not all(c.pipeline for c in self.callers.values()):  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        for caller in self.callers.values():
            self._tell(caller, SessionClosed(session=caller.session))
        await asyncio.sleep(1)

    def answered(self) -> int:
        return sum(len(caller.first_audio_s) for caller in self.callers.values())

    def forget(self) -> None:
        """Discard the measurements so far."""
        self.worst_late_s = 0.0
        for caller in self.callers.values():
            caller.first_audio_s.clear()
            caller.turns.clear()
            caller.unanswered = 0
            caller.spoke_s = caller.listened_s = 0.0

    async def _listen(self) -> None:
        async for received in self._inbox:
            items = [item for batch in received for item in batch.items]
            for item in items:
                caller = self.callers.get(item.session)
                if caller is not None:
                    self._on_item(caller, item)

    def _on_item(self, caller: _Session, item: Item) -> None:
        match item:
            case AudioFrame():
                self._on_audio(caller, item)
            case AgentSpeechEnded(end_sample=end_sample):
                caller.end_sample = end_sample
            case FlushPlayout():
                caller.buffered, caller.play_from_s, caller.end_sample = caller.played, None, None
                self._report(caller, "flushed")
            case PausePlayout() | ResumePlayout():
                caller.errors.append("nobody barged in")
            case PipelineAttached(pipeline_worker=worker):
                caller.pipeline = keys.inbox("pipeline", worker)
                self._tell(caller, CallerConnected(session=caller.session))
            case PublishEvent(type="metrics", fields=fields) if "endpointMs" in fields and caller.first_audio_s:
                caller.turns.append((caller.first_audio_s[-1], fields))
            case PublishEvent(type="error", fields=fields):
                caller.errors.append(str(fields))
            case EndSession(reason=reason):
                caller.errors.append(reason)

    def _on_audio(self, caller: _Session, frame: AudioFrame) -> None:
        now = time.monotonic()
        caller.rate, caller.buffered = frame.sample_rate, frame.end_sample
        if caller.play_from_s is None:
            caller.play_from_s = now + _CUSHION_S - caller.played / caller.rate
            caller.reported_s = 0.0
            if caller.asked_s:
                caller.first_audio_s.append(now - caller.asked_s)
                caller.asked_s = 0.0

    async def _clock(self) -> None:
        began_s, slot = time.monotonic(), 0
        groups: list[list[_Session]] = []
        while True:
            if sum(map(len, groups)) != len(self.callers):
                everyone = list(self.callers.values())
                groups = [everyone[n::_SLOTS] for n in range(_SLOTS)]
            now = time.monotonic()
            for caller in groups[slot % _SLOTS] if groups else ():
                if caller.pipeline is not None:
                    self._speak(caller, now)
                    self._play(caller, now)
            slot += 1
            late = time.monotonic() - began_s - slot * _SLOT_S
            self.worst_late_s = max(self.worst_late_s, late)
            await asyncio.sleep(max(0.0, -late))

    def _speak(self, caller: _Session, now: float) -> None:
        if caller.speech_at is not None:
            question = self._questions[caller.questions % len(self._questions)]
            self._send(caller, question[caller.speech_at])
            caller.speech_at += 1
            caller.spoke_s += _FRAME / UPLINK_RATE
            if caller.speech_at == len(question):
                caller.questions += 1
                caller.speech_at, caller.asked_s = None, now
            return
        if caller.asked_s and now - caller.asked_s > _REPLY_TIMEOUT_S:
            caller.asked_s, caller.silent_until_s = 0.0, now
            caller.unanswered += 1
        if not caller.asked_s and caller.play_from_s is None and now >= caller.silent_until_s:
            caller.speech_at = 0
        if not self._dtx:
            self._send(caller, self._noise[caller.seq % len(self._noise)])
            return
        due = caller.position % _DTX_STEP
        if due == 0:
            self._tell(
                caller, SilenceRun(caller.session, caller.epoch, caller.seq, caller.position, UPLINK_RATE, _FRAME)
            )
            caller.seq += 1
        caller.position += _FRAME

    def _send(self, caller: _Session, pcm: bytes) -> None:
        frame = AudioFrame(caller.session, caller.epoch, caller.seq, caller.position, UPLINK_RATE, 1, pcm)
        caller.seq += 1
        caller.position += _FRAME
        self._tell(caller, frame)

    def _play(self, caller: _Session, now: float) -> None:
        if caller.play_from_s is None:
            return
        before = caller.played
        caller.played = min(caller.buffered, max(caller.played, int((now - caller.play_from_s) * caller.rate)))
        caller.listened_s += (caller.played - before) / caller.rate
        if caller.end_sample is not None and caller.played >= caller.end_sample:
            caller.play_from_s = caller.end_sample = None
            caller.silent_until_s = now + _LISTEN_S
            self._report(caller, "finished")
        elif now - caller.reported_s >= _REPORT_S:
            caller.reported_s = now
            self._report(caller, "playing")

    def _report(self, caller: _Session, state: Any) -> None:
        self._tell(caller, PlayoutReported(session=caller.session, played_up_to=caller.played, state=state))

    def _tell(self, caller: _Session, item: Item) -> None:
        if caller.pipeline is not None:
            self._outbox.send(caller.pipeline, item)


def _frames(pcm: Pcm) -> list[bytes]:
    return [frame.astype("<i2").tobytes() for frame in pcm[: len(pcm) // _FRAME * _FRAME].reshape(-1, _FRAME)]
