"""One call over a bad network: both sides say the same sentences, and what each hears is recorded with its times."""

import asyncio
import contextlib
import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, cast

import numpy as np

from callers.impairment import Direction
from callers.peer import Exchange
from callers.rtp_caller import RtpCaller
from pipeline_worker.engines.resampling import resampled
from shared import keys
from shared.audio import Pcm, as_samples
from shared.events import AgentSpeechEnded, CallerConnected
from shared.frames import AudioFrame, SilenceRun
from shared.io import broker
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox
from tests.integration.deployment import Service, started
from tests.load import stack
from tests.load.dictation import FRAME, RATE, Dictation, Packets
from tests.load.heard import Heard, Piece, play_out
from tests.load.job_taker import JobTaker
from tests.load.lossy_relay import LossyRelay
from tests.load.swarm import line_exchange

PIPELINE = "listener"
_AGENT_RATE = 24_000
_PIECE = _AGENT_RATE // 10
_PAUSE_S = 0.4
"""The pause that is cut off each of the agent's sentences, so that its talkspurts end."""
_START_TIMEOUT_S = 20
_END_TIMEOUT_S = 10
_TICKS_PER_FRAME = 960
_SETTLE_S = 1.0
_FRAME_S = FRAME / RATE
_KEPT_BY_PLAIN_PEER = "peer:{}:up"


class Script(NamedTuple):
    """What both sides say, and the samples between which the network is bad."""

    dictation: Dictation
    voice: Packets
    spoiled_from: int
    spoiled_until: int


class OneWayRecording(NamedTuple):
    """One direction of a call. Its first sample was spoken at `began_s`. Shares are those of the bad stretch."""

    heard: Heard
    began_s: float
    lost_share: float
    late_share: float
    concealed_share: float | None


class Pipeline:
    """A fake pipeline worker: records what callers say, and speaks to them."""

    def __init__(self, url: str) -> None:
        self._outbox = Outbox(broker.connect(url), PIPELINE)
        self._inbox = Inbox(broker.connect_blocking(url), keys.inbox("pipeline", PIPELINE))
        self._media: dict[str, str] = {}
        self._jobs = JobTaker(url, PIPELINE, self._outbox, self._media.__setitem__)
        self._said: defaultdict[str, int] = defaultdict(int)
        self._connected: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.pieces: defaultdict[str, list[Piece]] = defaultdict(list)
        """By session."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(part.run()) for part in (self._outbox, self._jobs)]
        tasks.append(asyncio.create_task(self._listen()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def connected(self, session: str) -> None:
        async with asyncio.timeout(_START_TIMEOUT_S):
            await self._connected[session].wait()

    def say(self, session: str, pcm_24k: Pcm) -> None:
        """Send one talkspurt faster than real time, as speech synthesis does."""
        media, said = self._media[session], self._said[session]
        for start in range(0, len(pcm_24k), _PIECE):
            pcm, position = pcm_24k[start : start + _PIECE].tobytes(), said + start
            self._outbox.send(media, AudioFrame(session, 1, position // _PIECE, position, _AGENT_RATE, 1, pcm))
        self._said[session] = end = said + len(pcm_24k)
        self._outbox.send(media, AgentSpeechEnded(session=session, epoch=1, end_sample=end))

    async def _listen(self) -> None:
        async for received in self._inbox:
            items = [item for batch in received for item in batch.items]
            now = time.monotonic()
            for item in items:
                match item:
                    case AudioFrame():
                        self.pieces[item.session].append(Piece(now, as_samples(item.pcm)))
                    case SilenceRun():
                        self.pieces[item.session].append(Piece(now, np.zeros(item.samples, np.int16)))
                    case CallerConnected(session=session):
                        self._connected[session].set()


class Antiphon:
    """A media worker with fake signaling and a fake pipeline."""

    def __init__(self, signaling: stack.DirectSignaling, pipeline: Pipeline, worker: Service) -> None:
        self._signaling = signaling
        self._pipeline = pipeline
        self._worker = worker

    async def call(self, index: int, script: Script, relay: LossyRelay) -> tuple[OneWayRecording, OneWayRecording]:
        """Uplink and downlink of the `index`-th call."""
        caller = RtpCaller()
        async with _connected(caller, lambda sdp: self._signaling.exchange(index, sdp), relay):
            session = self._signaling.by_caller[index]
            await self._pipeline.connected(session)
            agent_began_s, began_s = await asyncio.gather(
                _agent_talks(self._pipeline, session, script), _caller_talks(caller, relay, script)
            )
            await asyncio.sleep(_SETTLE_S)
        quality = await self._quality(session)
        late, concealed = quality["late_packets"], quality["concealed_ms"] * RATE // 1000
        return (
            _recording(_since(began_s, self._pipeline.pieces[session]), began_s, relay.uplink, late, concealed, script),
            _played(caller, agent_began_s, relay.downlink, script),
        )

    async def _quality(self, session: str) -> dict[str, int]:
        """The media worker's log line of the uplink that ended."""
        async with asyncio.timeout(_END_TIMEOUT_S):
            while True:
                for event in map(json.loads, filter(lambda line: session in line, self._worker.log)):
                    if event["event"] == "uplink_ended":
                        return cast(dict[str, int], event)
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def antiphon(url: str) -> AsyncIterator[Antiphon]:
    """A media worker alone on its broker."""
    settings = {"ANTIPHON_REDIS_URL": url, "ANTIPHON_PUBLIC_IPS": "127.0.0.1"}
    with started("media_worker", **settings) as worker:
        os.sched_setaffinity(worker.process.pid, {stack.SERVER_CORE})
        pipeline = Pipeline(url)
        async with pipeline.running(), stack.direct_signaling(url, PIPELINE) as signaling:
            yield Antiphon(signaling, pipeline, worker)


async def call_plain(url: str, index: int, port: int, script: Script, relay: LossyRelay) -> OneWayRecording:
    """Uplink of the `index`-th call to the plain peer that takes offers on `port` and writes to Redis."""
    caller = RtpCaller()
    pieces: list[Piece] = []
    reading = asyncio.create_task(_read_plain(url, index, pieces))
    async with _connected(caller, lambda sdp: line_exchange(port, sdp), relay):
        began_s = await _caller_talks(caller, relay, script)
        await asyncio.sleep(_SETTLE_S)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return _recording(_since(began_s, pieces), began_s, relay.uplink, 0, None, script)


@contextlib.asynccontextmanager
async def _connected(caller: RtpCaller, exchange: Exchange, relay: LossyRelay) -> AsyncIterator[None]:
    async def through_relay(sdp: str) -> str:
        return relay.rewrite(await exchange(sdp))

    relay.start()
    try:
        await caller.connect(through_relay)
        yield
    finally:
        await caller.close()
        relay.close()


async def _caller_talks(caller: RtpCaller, relay: LossyRelay, script: Script) -> float:
    """Returns the time of the first sample. A packet is sent at the end of its 20 ms."""
    began_s = time.monotonic()
    talking = False
    for index, payload in enumerate(script.voice.payloads):
        await asyncio.sleep(max(0.0, began_s + (index + 1) * _FRAME_S - time.monotonic()))
        relay.spoil(script.spoiled_from <= index * FRAME < script.spoiled_until)
        if payload is not None:
            caller.send(payload, index * _TICKS_PER_FRAME, marker=not talking)
        talking = payload is not None
    return began_s


async def _agent_talks(pipeline: Pipeline, session: str, script: Script) -> float:
    began_s = time.monotonic()
    for sentence in script.dictation.sentences:
        await asyncio.sleep(max(0.0, began_s + sentence.first_sample / RATE - time.monotonic()))
        pcm = script.dictation.pcm[sentence.first_sample : sentence.end_sample - int(_PAUSE_S * RATE)]
        pipeline.say(session, resampled(pcm, RATE, _AGENT_RATE))
    return began_s


def _since(began_s: float, pieces: list[Piece]) -> Heard:
    """The pieces without the silence before the first word."""
    return Heard(piece for piece in pieces if piece.arrived_s >= began_s)


def _recording(
    heard: Heard, began_s: float, direction: Direction, late: int, concealed: int | None, script: Script
) -> OneWayRecording:
    samples = script.spoiled_until - script.spoiled_from
    packets = max(1, direction.packets)
    share = None if concealed is None else concealed / samples
    return OneWayRecording(heard, began_s, direction.lost / packets, late / packets, share)


def _played(caller: RtpCaller, began_s: float, direction: Direction, script: Script) -> OneWayRecording:
    """The agent's speech is ready in advance, so a packet is sent when its first sample is due, not after its last."""
    played = play_out(caller.received)
    return _recording(played.heard, began_s - _FRAME_S, direction, played.late, played.concealed_samples, script)


async def _read_plain(url: str, index: int, pieces: list[Piece]) -> None:
    client: Any = broker.connect_blocking(url)
    key, last = _KEPT_BY_PLAIN_PEER.format(index), b"0-0"
    try:
        while True:
            for _, entries in await client.xread({key: last}, count=50, block=1_000) or ():
                for entry_id, fields in entries:
                    last = entry_id
                    pieces.append(Piece(time.monotonic(), as_samples(fields[b"pcm"])))
    finally:
        await client.aclose()
