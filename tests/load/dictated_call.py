"""One call over a bad network: both sides say the same sentences, and what each hears is kept with its times."""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from shared import keys
from shared.audio import Pcm, as_samples
from shared.events import AgentSpeechEnded, CallerConnected, PipelineAttached, StartPipeline
from shared.frames import AudioFrame, SilenceRun
from shared.io import broker
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox
from shared.io.presence import live_workers
from tests.fakes.ports import free_port
from tests.integration.speech import resampled
from tests.load import stack
from tests.load.dictation import FRAME, RATE, Dictation, Packets
from tests.load.heard import Heard, Piece, play_out
from tests.load.lossy_relay import Direction, LossyRelay
from tests.load.rtp_caller import RtpCaller
from tests.load.swarm import line_exchange

_AGENT_RATE = 24_000
_PIECE = _AGENT_RATE // 10
_PAUSE_S = 0.4
"""Cut off each of the agent's sentences, so that its talkspurts end."""
_START_TIMEOUT_S = 60
_TICKS_PER_FRAME = 960
_SETTLE_S = 1.0
_FRAME_S = FRAME / RATE
_KEPT_BY_PLAIN_PEER = "peer:{}:up"

Exchange = Callable[[str], Awaitable[str]]


class Script(NamedTuple):
    """What both sides say, and between which samples the network is bad."""

    dictation: Dictation
    voice: Packets
    spoiled_from: int
    spoiled_until: int


class Recording(NamedTuple):
    """One direction of a call. `began_s` is when its first sample was spoken; shares are of the spoiled stretch."""

    heard: Heard
    began_s: float
    lost_share: float
    late_share: float
    concealed_share: float | None


class Pipeline:
    """Stands in for a pipeline worker: keeps the caller's voice, and speaks."""

    def __init__(self, url: str) -> None:
        self._outbox = Outbox(broker.connect(url), "listener")
        self._inbox = Inbox(broker.connect_blocking(url), keys.inbox("pipeline", "listener"))
        self._session = ""
        self._media = ""
        self._said = 0
        self.connected = asyncio.Event()
        self.pieces: list[Piece] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._outbox.run()), asyncio.create_task(self._listen())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def say(self, pcm_24k: Pcm) -> None:
        """One talkspurt, faster than it is heard, as speech synthesis delivers it."""
        for start in range(0, len(pcm_24k), _PIECE):
            piece = pcm_24k[start : start + _PIECE]
            position = self._said + start
            frame = AudioFrame(self._session, 1, position // _PIECE, position, _AGENT_RATE, 1, piece.tobytes())
            self._outbox.send(self._media, frame)
        self._said += len(pcm_24k)
        self._outbox.send(self._media, AgentSpeechEnded(session=self._session, epoch=1, end_sample=self._said))

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        async for items in self._inbox:
            for item in items:
                match item:
                    case AudioFrame():
                        self.pieces.append(Piece(loop.time(), as_samples(item.pcm)))
                    case SilenceRun(samples=samples):
                        self.pieces.append(Piece(loop.time(), np.zeros(samples, np.int16)))
                    case StartPipeline(session=session, media_worker=media):
                        self._session, self._media = session, keys.inbox("media", media)
                        attached = PipelineAttached(session=session, epoch=1, pipeline_worker="listener")
                        self._outbox.send(self._media, attached)
                    case CallerConnected():
                        self.connected.set()


async def call_antiphon(url: str, probe_port: int, script: Script, relay: LossyRelay) -> tuple[Recording, Recording]:
    """Uplink and downlink of a call to the only media worker of the broker at `url`."""
    pipeline, caller = Pipeline(url), RtpCaller()
    async with (
        pipeline.running(),
        stack.direct_signaling(url, "listener") as signaling,
        _connected(caller, lambda sdp: signaling.exchange(0, sdp), relay),
    ):
        async with asyncio.timeout(_START_TIMEOUT_S):
            await pipeline.connected.wait()
        counted = await asyncio.to_thread(_counters, probe_port)
        agent_began_s, began_s = await asyncio.gather(
            _agent_talks(pipeline, script), _caller_talks(caller, relay, script)
        )
        await asyncio.sleep(_SETTLE_S)
        counts = await asyncio.to_thread(_counters, probe_port)
        signaling.hang_up()
    late, concealed = (now - before for now, before in zip(counts, counted, strict=True))
    return (
        _recording(_since(began_s, pipeline.pieces), began_s, relay.uplink, int(late), int(concealed), script),
        _played(caller, agent_began_s, relay.downlink, script),
    )


async def call_plain(url: str, index: int, port: int, script: Script, relay: LossyRelay) -> Recording:
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
async def media_worker(url: str) -> AsyncIterator[int]:
    """A media worker alone on its broker; the port of its probes."""
    port = free_port()
    settings = {
        "ANTIPHON_REDIS_URL": url,
        "ANTIPHON_PUBLIC_IPS": "127.0.0.1",
        "ANTIPHON_PROBE_PORT": str(port),
        "ANTIPHON_LOG_LEVEL": "warning",
    }
    with stack.running("media_worker", stack.SERVER_CORE, **settings):
        client = broker.connect(url)
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not await live_workers(client, "media"):  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.1)
        await client.aclose()
        yield port


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
    """Returns the loop time of the first sample: a packet is sent when its 20 ms are over."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    talking = False
    for index, payload in enumerate(script.voice.payloads):
        await asyncio.sleep(max(0.0, began_s + (index + 1) * _FRAME_S - loop.time()))
        relay.spoil(script.spoiled_from <= index * FRAME < script.spoiled_until)
        if payload is not None:
            caller.send(payload, index * _TICKS_PER_FRAME, marker=not talking)
        talking = payload is not None
    return began_s


async def _agent_talks(pipeline: Pipeline, script: Script) -> float:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for sentence in script.dictation.sentences:
        await asyncio.sleep(max(0.0, began_s + sentence.first_sample / RATE - loop.time()))
        pcm = script.dictation.pcm[sentence.first_sample : sentence.end_sample - int(_PAUSE_S * RATE)]
        pipeline.say(resampled(pcm, RATE, _AGENT_RATE))
    return began_s


def _since(began_s: float, pieces: list[Piece]) -> Heard:
    """Without the silence between the connection and the first word."""
    return Heard(piece for piece in pieces if piece.arrived_s >= began_s)


def _recording(
    heard: Heard, began_s: float, direction: Direction, late: int, concealed: int | None, script: Script
) -> Recording:
    samples = script.spoiled_until - script.spoiled_from
    packets = max(1, direction.packets)
    share = None if concealed is None else concealed / samples
    return Recording(heard, began_s, direction.lost / packets, late / packets, share)


def _played(caller: RtpCaller, began_s: float, direction: Direction, script: Script) -> Recording:
    """The agent's speech lies ready, so that a packet goes out when its first sample is due and not after its last."""
    played = play_out(caller.received)
    return _recording(played.heard, began_s - _FRAME_S, direction, played.late, played.concealed_samples, script)


async def _read_plain(url: str, index: int, pieces: list[Piece]) -> None:
    loop = asyncio.get_running_loop()
    client: Any = broker.connect_blocking(url)
    key, last = _KEPT_BY_PLAIN_PEER.format(index), b"0-0"
    try:
        while True:
            for _, entries in await client.xread({key: last}, count=50, block=1_000) or ():
                for entry_id, fields in entries:
                    last = entry_id
                    pieces.append(Piece(loop.time(), as_samples(fields[b"pcm"])))
    finally:
        await client.aclose()


def _counters(probe_port: int) -> tuple[float, float]:
    """Late packets and concealed samples of a media worker's uplinks."""
    with urllib.request.urlopen(f"http://127.0.0.1:{probe_port}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }
    return (
        samples["antiphon_media_uplink_late_packets_total"],
        samples["antiphon_media_uplink_concealed_samples_total"],
    )
