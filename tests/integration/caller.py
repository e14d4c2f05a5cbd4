"""A real WebRTC caller (stock aiortc): says PCM, records what it hears, keeps the events of both channels."""

import asyncio
import fractions
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self

import numpy as np
import websockets
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from shared.audio import Pcm

RATE = 48_000
_FRAME = RATE // 50

Exchange = Callable[[str], Awaitable[str]]
"""Takes an offer's SDP, returns the answer's."""


class Microphone(MediaStreamTrack):
    """Speaks what it is given in real time, silence else."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._queue: Pcm = np.zeros(0, np.int16)
        self._began_s: float | None = None
        self._frames = 0
        self.said_at_s: float | None = None
        """Loop time at which the first sample of the last `say` was sent."""
        self._announce = False
        self.quiet = asyncio.Event()

    def say(self, samples: Pcm) -> None:
        """Append 48 kHz mono."""
        self._queue = np.concatenate([self._queue, samples.astype(np.int16)])
        self._announce = True
        self.quiet.clear()

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        if self._began_s is None:
            self._began_s = loop.time()
        await asyncio.sleep(max(0.0, self._began_s + self._frames * 0.02 - loop.time()))
        samples, self._queue = self._queue[:_FRAME], self._queue[_FRAME:]
        if len(samples) and self._announce:
            self.said_at_s, self._announce = loop.time(), False
        if not len(self._queue):
            self.quiet.set()
        samples = np.pad(samples, (0, _FRAME - len(samples)))
        frame = AudioFrame.from_ndarray(samples[None, :], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._frames * _FRAME, fractions.Fraction(1, RATE)
        self._frames += 1
        return frame


class Caller:
    """Connects on entering, hangs up on leaving."""

    def __init__(
        self, exchange: Exchange | None = None, *, url: str = "", agent_id: str = "", data: bool = True
    ) -> None:
        self._exchange = exchange or self._signal
        self._url = url
        self._agent_id = agent_id
        self._data = data
        self.microphone = Microphone()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel: RTCDataChannel | None = None
        self.channel_events: list[dict[str, Any]] = []
        self.socket_events: list[dict[str, Any]] = []
        self.heard: list[tuple[float, int, Pcm]] = []
        """(loop time, pts at 48 kHz, mono samples) of each frame."""
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self.socket: websockets.ClientConnection | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _connect(self) -> None:
        connected = asyncio.Event()

        def on_state() -> None:
            if self.pc.connectionState == "connected":
                connected.set()

        self.pc.on("connectionstatechange", on_state)
        self.pc.on("track", lambda track: self._tasks.append(asyncio.create_task(self._listen(track))))
        self.pc.addTrack(self.microphone)
        if self._data:
            self.channel = self.pc.createDataChannel("control")
            self.channel.on("message", self._on_channel)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await self._exchange(self.pc.localDescription.sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(15):
            await connected.wait()

    async def _close(self) -> None:
        await self.pc.close()
        if self.socket is not None:
            await self.socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def events(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """Events of the WebSocket, of one type if given."""
        return [event for event in self.socket_events if event_type in (None, event["type"])]

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Until `condition` holds; it is looked at whenever an event or a frame comes."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(condition)

    async def wait_for_status(self, status: str, timeout_s: float = 20.0) -> None:
        await self.wait_for(lambda: any(e.get("status") == status for e in self.socket_events), timeout_s)

    def heard_samples(self) -> Pcm:
        """All received audio on its own time line (48 kHz mono), gaps as zeros."""
        if not self.heard:
            return np.zeros(0, np.int16)
        first = self.heard[0][1]
        end = max(pts + len(samples) for _, pts, samples in self.heard)
        line = np.zeros(end - first, np.int16)
        for _, pts, samples in self.heard:
            line[pts - first : pts - first + len(samples)] = samples
        return line

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, AudioFrame)
            stereo = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
            mono = stereo.mean(axis=1).astype(np.int16)
            self.heard.append((asyncio.get_running_loop().time(), frame.pts or 0, mono))
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _on_channel(self, message: str) -> None:
        self.channel_events.append(json.loads(message))
        self._tasks.append(asyncio.create_task(self._notify()))

    async def _signal(self, sdp: str) -> str:
        self.socket = await websockets.connect(self._url)
        await self.socket.send(json.dumps({"type": "offer", "sdp": sdp, "agentId": self._agent_id}))
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks.append(asyncio.create_task(self._read_socket(self.socket, answer)))
        async with asyncio.timeout(10):
            return await answer

    async def _read_socket(self, socket: websockets.ClientConnection, answer: asyncio.Future[str]) -> None:
        try:
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "answer" and not answer.done():
                    answer.set_result(event["sdp"])
                self.socket_events.append(event)
                await self._notify()
        except websockets.ConnectionClosed:
            pass
        if not answer.done():
            answer.set_exception(ConnectionError(f"no answer, but {self.socket_events}"))
