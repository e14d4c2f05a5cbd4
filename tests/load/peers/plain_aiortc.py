"""The peer of the density and latency benchmarks: a media server on plain aiortc, as a good user of it writes one.

uvloop, one certificate, no STUN server, a receive loop that resamples to 16 kHz mono and awaits one XADD per frame,
and a 20 ms audio track fed by one XREAD task per session. Prints its signaling port; serves until terminated.
"""

import asyncio
import fractions
import json
import os
from collections import deque
from collections.abc import Coroutine
from typing import Any, cast

import numpy as np
import redis.asyncio
import uvloop
from aiortc import AudioStreamTrack, MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler

_RATE = int(os.environ.get("PEER_RATE", "24000"))
_FRAME = _RATE // 50
_KEPT = 200


class AgentTrack(AudioStreamTrack):
    """20 ms frames of what the pipeline sent, silence when there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[bytes] = deque(maxlen=500)
        self._began_s: float | None = None
        self._count = 0

    def feed(self, pcm: bytes) -> None:
        size = _FRAME * 2
        self._pieces.extend(pcm[at : at + size] for at in range(0, len(pcm), size))

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        if self._began_s is None:
            self._began_s = loop.time()
        wait = self._began_s + self._count * 0.02 - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        pcm = self._pieces.popleft() if self._pieces else bytes(_FRAME * 2)
        frame = AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None, :], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, self._count * _FRAME, fractions.Fraction(1, _RATE)
        self._count += 1
        return frame


class PlainServer:
    def __init__(self, url: str) -> None:
        self._redis: Any = redis.asyncio.Redis.from_url(url, max_connections=2_000)
        self._peers: dict[int, RTCPeerConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        offer = json.loads(await reader.readline())
        index = len(self._peers)
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers[index] = pc
        agent = AgentTrack()
        pc.on("track", lambda track: self._spawn(self._receive(index, track)))
        await pc.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
        pc.addTrack(agent)
        await pc.setLocalDescription(await pc.createAnswer())
        self._spawn(self._feed(index, agent))
        writer.write(json.dumps({"sdp": pc.localDescription.sdp}).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _receive(self, index: int, track: MediaStreamTrack) -> None:
        resampler = AudioResampler("s16", "mono", 16_000)
        key = f"peer:{index}:up"
        while True:
            try:
                frame = cast(AudioFrame, await track.recv())
            except MediaStreamError:
                return
            for resampled in resampler.resample(frame):
                pcm = resampled.to_ndarray().tobytes()
                await self._redis.xadd(key, {b"pcm": pcm}, maxlen=_KEPT, approximate=True)

    async def _feed(self, index: int, agent: AgentTrack) -> None:
        key, last = f"peer:{index}:down", b"0-0"
        while True:
            for _, entries in await self._redis.xread({key: last}, count=50, block=1_000) or ():
                for entry_id, fields in entries:
                    last = entry_id
                    agent.feed(fields[b"pcm"])

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _serve() -> None:
    server = PlainServer(os.environ["ANTIPHON_REDIS_URL"])
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0, limit=1 << 20)
    print(listener.sockets[0].getsockname()[1], flush=True)
    async with listener:
        await listener.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
