"""A caller whose server is two peer connections of aiortc in this process."""

import asyncio

import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from callers.caller import Caller
from callers.microphone import Microphone
from callers.voice import RATE

_TONE = (8_000 * np.sin(np.arange(20 * RATE) / 20)).astype(np.int16)


class Server:
    """Answers each offer with another peer connection, which sends a tone."""

    def __init__(self) -> None:
        self.peers: list[RTCPeerConnection] = []
        self.frames: list[int] = []
        """Loud ones, by peer connection."""
        self._listeners: list[asyncio.Task[None]] = []

    async def answer(self, offer_sdp: str) -> str:
        number, peer = len(self.peers), RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)
        self.frames.append(0)
        peer.on("track", lambda track: self._listeners.append(asyncio.create_task(self._listen(number, track))))
        await peer.setRemoteDescription(RTCSessionDescription(offer_sdp, "offer"))
        voice = Microphone()
        voice.play(_TONE)
        peer.addTrack(voice)
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    async def close(self) -> None:
        await asyncio.gather(*(peer.close() for peer in self.peers))
        await asyncio.gather(*self._listeners, return_exceptions=True)

    async def _listen(self, number: int, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                self.frames[number] += int(np.abs(frame.to_ndarray()).max() > 1_000)  # type: ignore[union-attr]
        except MediaStreamError:
            return


async def test_a_caller_who_is_sent_away_hears_and_is_heard_over_both_connections_in_one_timeline() -> None:
    server = Server()
    caller = Caller(exchange=server.answer, gateways=["ws://nowhere"])
    async with caller:
        began_s = asyncio.get_running_loop().time()
        caller.microphone.play(_TONE)
        await caller.wait_for(lambda: server.frames[0] > 25)
        caller._on_socket_event({"type": "goaway", "scope": "media", "timeLeftMs": 0})
        await caller.wait_for(lambda: caller.reconnections == 1)
        assert caller.pc.connectionState == "connected"
        await caller.wait_for(lambda: len(server.frames) == 2 and server.frames[1] > 25)
        heard_before = server.frames[0]
        ended_s = asyncio.get_running_loop().time()
        await caller.wait_for(lambda: caller.record.heard.sound_s(began_s) > (ended_s - began_s) - 1.0)
        assert server.frames[0] == heard_before, "the microphone has moved"
        assert caller.record.heard.sound_s(0) == pytest.approx(len(caller.record.heard.samples()) / 16_000, abs=1.0)
    await server.close()
