"""A WebRTC caller on aiortc: speaks into its microphone, and records what it hears and the events it receives."""

import asyncio
import functools
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, Self

from aiortc import RTCDataChannel, RTCIceServer, RTCPeerConnection
from aiortc.rtp import RtpPacket

from callers.audio_recorder import AudioRecorder
from callers.call_record import CallRecord
from callers.microphone import Microphone
from callers.peer import Exchange, Peer
from callers.reconnection import Reconnection
from callers.signaling import Event, MakeToken, NotConnected, Signaling

_CONNECT_TIMEOUT_S = 20.0
_LOOK_EVERY_S = 0.02
_ABOUT_SIGNALING = ("session", "answer", "resumed")


class Caller:
    """Connects on entering, disconnects on leaving. Entering raises `NotConnected`."""

    def __init__(
        self,
        signaling_url: str = "",
        agent_id: str = "",
        *,
        exchange: Exchange | None = None,
        data: bool = True,
        gateways: Sequence[str] = (),
        ice_servers: Sequence[RTCIceServer] = (),
        make_token: MakeToken | None = None,
    ) -> None:
        """`exchange` replaces signaling over `signaling_url`. Without `data` there is no data channel.

        `gateways`: the caller keeps its session when its WebSocket or its media is lost, and comes back at one of
        these. Without any it is the plain client of the specification.
        """
        self._loop = asyncio.get_running_loop()
        self.signaling = Signaling(signaling_url, agent_id, self._on_socket_event, gateways, make_token)
        self._exchange = exchange or self.signaling.exchange
        self._data = data
        self._ice_servers = ice_servers
        self.microphone = Microphone()
        self.record = CallRecord(self._loop.time())
        self.socket_events: list[Event] = []
        """All events of the WebSocket, as received."""
        self.channel_events: list[Event] = []
        """All events of the data channel, as received."""
        self.on_packet: Callable[[RtpPacket, float], None] | None = None
        """Also gets each packet of the agent's voice, with its time of arrival."""
        self._peers = itertools.count()
        self._heard_peer = 0
        """Number of the latest peer connection that was heard."""
        self._peer = self._new_peer()
        self._reconnection = Reconnection(self.signaling, self._renew_peer, lambda: self._peer.silent_s)
        self._reconnecting: asyncio.Task[None] | None = None

    @property
    def pc(self) -> RTCPeerConnection:
        return self._peer.pc

    @property
    def channel(self) -> RTCDataChannel | None:
        return self._peer.channel

    @property
    def reconnections(self) -> int:
        """How often the peer connection was replaced."""
        return self._reconnection.count

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._connect()
        except OSError as error:
            await self._close()
            reason = str(error) or "no connection in time"
            raise NotConnected(f"no call over {self.signaling.url}: {reason}") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def send(self, **message: Any) -> None:
        """On the data channel. Lost if the call is over."""
        if self.channel is not None and self.channel.readyState == "open":
            self.channel.send(json.dumps(message))

    async def hang_up(self) -> None:
        await self.signaling.hang_up()

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Raises `TimeoutError` if `condition` does not hold in time."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 (a condition may depend on the time that has passed)
                await asyncio.sleep(_LOOK_EVERY_S)

    async def wait_for_status(self, status: str, timeout_s: float = 20.0) -> None:
        """Until the call has had this status."""
        await self.wait_for(lambda: status in self.record.statuses, timeout_s)

    async def _connect(self) -> None:
        try:
            await self._peer.connect(self._exchange, self.microphone)
        except NotConnected:
            if self.record.end_reason is None:
                raise
        if self.record.end_reason is not None:
            raise NotConnected(f"the call was over before it began: {self.record.end_reason}")
        if self.signaling.resumes:
            self._reconnecting = asyncio.create_task(self._reconnection.run())

    async def _renew_peer(self) -> None:
        """Raises `NotConnected`."""
        peer = self._new_peer()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await peer.connect(self._exchange)
        except BaseException as error:
            await peer.close()
            if isinstance(error, OSError):
                raise NotConnected("no new connection in time") from error
            raise
        old, self._peer = self._peer, peer
        old.speak_into(None)
        peer.speak_into(self.microphone)
        await old.close()

    def _new_peer(self) -> Peer:
        on_packet = functools.partial(self._on_packet, next(self._peers), AudioRecorder(self.record.heard))
        return Peer(on_packet, self._on_channel_message, self._data, self._ice_servers)

    async def _close(self) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        await self._peer.close()
        await self.signaling.close()

    def _on_socket_event(self, event: Event) -> None:
        self.socket_events.append(event)
        self._reconnection.on_event(event)
        if event["type"] not in _ABOUT_SIGNALING:
            self._take(event)

    def _on_channel_message(self, message: str) -> None:
        event = json.loads(message)
        self.channel_events.append(event)
        self.signaling.saw(event)
        self._reconnection.on_event(event)
        self._take(event)

    def _take(self, event: Event) -> None:
        self.record.take(self._loop.time(), event)
        if self.record.end_reason is not None:
            self._peer.give_up()

    def _on_packet(self, peer: int, recorder: AudioRecorder, packet: RtpPacket) -> None:
        if peer < self._heard_peer:
            return  # a later connection is heard already
        self._heard_peer = peer
        arrived_s = self._loop.time()
        recorder.take(packet.sequence_number, packet.timestamp, packet.payload, arrived_s)
        if self.on_packet is not None:
            self.on_packet(packet, arrived_s)
