"""An RTP caller that says given sounds at given times, and detects when the agent begins and stops talking.

Times are monotonic. "Mouth" is when a sample is spoken: a packet is sent at the end of its 20 ms. "Ear" is when the
sound of a packet could begin to play without a receive buffer.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple

import numpy as np

from callers.peer import Exchange
from callers.rtp_caller import RtpCaller
from media_worker.core.dtx_scheduler import TAIL_FRAMES
from media_worker.opus import Decoder, Encoder
from shared.audio import Pcm, as_samples
from tests.load.heard import Piece

RATE = 16_000
_FRAME = RATE // 50
_FRAME_S = 0.02
_TICKS_PER_FRAME = 960
_DTX_PAYLOAD = 2
_ROOM_NOISE_RMS = 26.0
_LOUD = 300.0
_AUDIBLE_RMS = 100.0
_SILENT_AFTER_S = 0.3
_BITRATE = 32_000


class Said(NamedTuple):
    """When the first and the last loud sample were spoken."""

    began_s: float
    ended_s: float


class TalkingCaller:
    def __init__(self, seed: int) -> None:
        self._rtp = RtpCaller()
        self._encoder = Encoder(RATE, _BITRATE, 0)
        self._decoder = Decoder()
        self._pieces: list[Piece] = []
        self._packets_heard = 0
        self._frames: deque[tuple[Pcm, asyncio.Future[float] | None]] = deque()
        rng = np.random.default_rng(seed)
        self._noise = (rng.standard_normal(RATE) * _ROOM_NOISE_RMS).astype(np.int16)

    @contextlib.asynccontextmanager
    async def connected(self, exchange: Exchange) -> AsyncIterator[None]:
        """Sends audio while entered."""
        try:
            await self._rtp.connect(exchange)
            microphone = asyncio.create_task(self._send())
            try:
                yield
            finally:
                microphone.cancel()
                await asyncio.gather(microphone, return_exceptions=True)
        finally:
            await self._rtp.close()

    async def say(self, pcm: Pcm) -> Said:
        """Queue a sound (16 kHz), and wait until it is sent."""
        frames = np.pad(pcm, (0, -len(pcm) % _FRAME)).reshape(-1, _FRAME)
        sent: list[asyncio.Future[float]] = []
        for frame in frames:
            sent.append(asyncio.get_running_loop().create_future())
            self._frames.append((frame, sent[-1]))
        times = await asyncio.gather(*sent)
        loud = np.flatnonzero(np.abs(pcm) > _LOUD)
        first, last = int(loud[0]), int(loud[-1])
        return Said(_spoken_s(times, first), _spoken_s(times, last))

    async def agent_begins(self, since_s: float, within_s: float) -> float:
        """When the first sound after `since_s` reached the ear."""
        async with asyncio.timeout(within_s):
            while not (sounds := self._sounds(since_s)):  # noqa: ASYNC110 (the network has no event)
                await asyncio.sleep(_FRAME_S)
        return sounds[0].arrived_s

    async def agent_falls_silent(self, since_s: float, within_s: float, for_s: float = _SILENT_AFTER_S) -> float:
        """The end of the last sound after `since_s`. Returns when no other has followed for `for_s`."""
        last_s, looks_without = since_s, 0
        async with asyncio.timeout(within_s):
            # Counts checks instead of time: while this process is stalled, packets wait in the socket.
            while looks_without * _FRAME_S < for_s:
                await asyncio.sleep(_FRAME_S)
                newer = self._sounds(last_s + 1e-6)
                looks_without = 0 if newer else looks_without + 1
                last_s = newer[-1].arrived_s if newer else last_s
        return last_s + _FRAME_S

    def longest_silence(self, since_s: float, until_s: float) -> tuple[float, float]:
        """Beginning and end of the longest silence between two sounds of the agent."""
        times = [piece.arrived_s for piece in self._sounds(since_s) if piece.arrived_s <= until_s]
        return max(itertools.pairwise(times), key=lambda pair: pair[1] - pair[0], default=(since_s, since_s))

    def heard(self, since_s: float, until_s: float) -> Pcm:
        """The agent's audio between two times, without the time in which nothing was sent."""
        self._listen()
        pieces = [piece.pcm for piece in self._pieces if since_s <= piece.arrived_s <= until_s]
        return np.concatenate([np.zeros(0, np.int16), *pieces])

    def _sounds(self, since_s: float) -> list[Piece]:
        self._listen()
        found: list[Piece] = []
        for piece in reversed(self._pieces):
            if piece.arrived_s < since_s:
                break
            if _is_audible(piece.pcm):
                found.append(piece)
        return found[::-1]

    def _listen(self) -> None:
        """Decode new packets."""
        for packet in self._rtp.received[self._packets_heard :]:
            self._packets_heard += 1
            pcm = as_samples(self._decoder.decode(packet.payload))
            if len(packet.payload) > _DTX_PAYLOAD:
                self._pieces.append(Piece(packet.arrived_s, pcm))
                continue
            # Quiet packets before DTX are the encoder's tail, not a pause of the agent.
            for _ in range(TAIL_FRAMES):
                if self._pieces and not _is_audible(self._pieces[-1].pcm):
                    self._pieces.pop()

    async def _send(self) -> None:
        began_s, index = time.monotonic(), 0
        while True:
            index += 1
            await asyncio.sleep(max(0.0, began_s + index * _FRAME_S - time.monotonic()))
            noise = self._noise[index * _FRAME % RATE :][:_FRAME]
            frame, sent = self._frames.popleft() if self._frames else (np.zeros(_FRAME, np.int16), None)
            self._rtp.send(self._encoder.encode((frame + noise).astype(np.int16).tobytes()), index * _TICKS_PER_FRAME)
            if sent is not None and not sent.done():
                sent.set_result(time.monotonic())


def _is_audible(pcm: Pcm) -> bool:
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2))) > _AUDIBLE_RMS


def _spoken_s(sent_s: list[float], sample: int) -> float:
    return sent_s[sample // _FRAME] - _FRAME_S + sample % _FRAME / RATE
