"""Calls to a running media worker with a stock WebRTC peer, a real broker, and stand-ins for gateway and pipeline."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from aioice import stun as aioice_stun
from aiortc.sdp import SessionDescription

from callers.call_record import HEARD_RATE
from callers.caller import Caller
from media_worker.session import Session
from shared.audio import Pcm, as_samples
from shared.events import CallerConnected, ClientEventSent, SessionClosed
from shared.frames import AudioFrame
from tests.fakes.media_correspondents import PATIENCE_S, RunningMediaWorker
from tests.fakes.sounds import strength


class Call:
    """A connected caller and what the others know of it."""

    def __init__(self, house: RunningMediaWorker, caller: Caller, session: str, offer: str, answer: str) -> None:
        self.house = house
        self.caller = caller
        self.id = session
        self.offer = offer
        self.answer = answer

    @property
    def session(self) -> Session:
        return self.house.sessions[self.id]

    def tell_on_channel(self, message: Any) -> None:
        assert self.caller.channel is not None
        self.caller.channel.send(message if isinstance(message, str) else json.dumps(message))

    async def event_on_both_channels(self, event_type: str, **fields: Any) -> dict[str, Any]:
        """The event, which must be the same on both."""

        def fits(event: dict[str, Any]) -> bool:
            return event["type"] == event_type and all(event.get(key) == value for key, value in fields.items())

        await self.caller.wait_for(lambda: any(map(fits, self.caller.channel_events)))
        await self.house.gateway.until(lambda: any(fits(m.event) for m in self.house.gateway.messages(ClientEventSent)))
        (on_channel,) = filter(fits, self.caller.channel_events)
        (on_socket,) = [m.event for m in self.house.gateway.messages(ClientEventSent) if fits(m.event)]
        assert on_channel == on_socket
        return on_channel

    async def closed(self) -> str:
        return (await self.house.gateway.message(SessionClosed, session=self.id)).reason

    def heard_up(self) -> Pcm:
        """What the pipeline heard of the caller."""
        frames = [item for item in self.house.pipeline.uplink(self.id) if isinstance(item, AudioFrame)]
        return np.concatenate([as_samples(frame.pcm) for frame in frames]) if frames else np.zeros(0, np.int16)


async def connect(
    house: RunningMediaWorker, session: str = "s1", change: Callable[[str], str] = str, **options: Any
) -> Call:
    """`change` tampers with the offer on its way."""
    exchanged: list[str] = []

    async def exchange(sdp: str) -> str:
        exchanged.extend((change(sdp), await house.exchange(session, change(sdp))))
        return exchanged[1]

    caller = await Caller(exchange=exchange, **options).__aenter__()
    return Call(house, caller, session, *exchanged)


@asynccontextmanager
async def calling(house: RunningMediaWorker, session: str = "s1", **options: Any) -> AsyncIterator[Call]:
    call = await connect(house, session, **options)
    try:
        await house.pipeline.message(CallerConnected, session=session)
        if options.get("data", True):
            await call.caller.wait_for(lambda: bool(call.caller.channel_events))
        yield call
    finally:
        await call.caller.__aexit__()


def hears(caller: Caller, hertz: float) -> bool:
    """Whether most of the last half second is this tone."""
    return strength(caller.record.heard.samples()[-HEARD_RATE // 2 :], hertz, HEARD_RATE) > 0.5


def of_another_peer(offer: str) -> str:
    return re.sub(r"(a=fingerprint:sha-\d+ )(\w\w)", lambda m: m[1] + f"{int(m[2], 16) ^ 1:02X}", offer)


class MovedCaller:
    """The caller's next address: knows the new credentials and sends checks from another socket."""

    def __init__(self, answer: str) -> None:
        ice = SessionDescription.parse(answer).media[0]
        assert ice.ice is not None
        self.ufrag, self.password = ice.ice.usernameFragment or "", ice.ice.password or ""
        candidate = ice.ice_candidates[0]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((candidate.ip, candidate.port))

    async def check(self) -> aioice_stun.Message:
        """The answer to a nominating check."""
        request = aioice_stun.Message(
            message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST
        )
        request.attributes.update({"USERNAME": f"{self.ufrag}:x", "ICE-CONTROLLING": 1, "USE-CANDIDATE": None})
        request.add_message_integrity(self.password.encode())
        self.socket.send(bytes(request))
        return aioice_stun.parse_message(await self.datagram(lambda data: data[0] < 4))

    async def datagram(self, wanted: Callable[[bytes], bool]) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                data = await asyncio.get_running_loop().sock_recv(self.socket, 2_048)
                if wanted(data):
                    return data
