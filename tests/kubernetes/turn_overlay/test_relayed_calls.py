"""Calls through TURN servers on the cluster, and what else these lead to."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aioice import ice, stun, turn
from aiortc import RTCIceServer

from callers.caller import Caller
from callers.server import Server
from callers.signaling import NotConnected
from tests.integration.speech import spoken
from tests.integration.talk import Record, Talk, record_replies
from tests.kubernetes.crowd import AGENT, TEXT
from tests.kubernetes.installation import Installation
from tests.kubernetes.stranger import stranger
from tests.kubernetes.turn_overlay.conftest import COTURN, MEDIA

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300, func_only=True)]

_TURN = ("198.18.128.78", 3478)
_API_SERVER, _NODE = ("198.18.0.1", 6443), ("198.18.0.11", 10250)
_DNS_QUERY = (
    bytes.fromhex("000101000001000000000000")
    + b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
)
_REFUSED_S = 5.0
_ANSWERED_S = 2.0
_SILENCE_S = 12.0
"""A client notices after 6.5 s that nothing comes any more."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ice_servers(installed: Installation) -> list[RTCIceServer]:
    relays = await Server(f"http://{installed.address}:8080").relays(None)
    return [RTCIceServer(list(relay.urls), relay.username, relay.credential) for relay in relays]


async def test_a_caller_hears_the_agent_through_a_turn_server(
    installed: Installation, ice_servers: list[RTCIceServer], record_property: Record
) -> None:
    async with _talking(installed, ice_servers) as talk:
        pair = _pair(talk.caller)
        assert pair.local_candidate.type == "relay"
        assert pair.remote_addr in await _media_addresses(installed)
        sound = await talk.ask()
        reply = await talk.reply(sound.end_s)
        record_replies(record_property, "heard through a TURN server", reply)


async def test_a_caller_without_a_turn_server_is_not_connected(installed: Installation) -> None:
    with pytest.raises(NotConnected):
        async with Caller(installed.signaling_url, AGENT):
            pass


async def test_a_call_goes_on_when_turn_servers_are_updated(
    installed: Installation, ice_servers: list[RTCIceServer], record_property: Record
) -> None:
    async with _talking(installed, ice_servers) as talk:
        arrived_s: list[float] = []
        talk.caller.on_packet = lambda _, at_s: arrived_s.append(at_s)
        await talk.ask()
        await talk.hear(1.0)
        await installed.restart(COTURN)
        await talk.caller.wait_for(lambda: talk.caller.reconnections > 0)
        await talk.ask()
        await talk.hear(1.0)
        longest_s = max(later_s - earlier_s for earlier_s, later_s in itertools.pairwise(arrived_s))
        record_property("TURN servers updated", f"{longest_s:.1f} s without a packet, the session goes on")
        assert talk.caller.record.end_reason is None
        assert _pair(talk.caller).local_candidate.type == "relay"
        assert longest_s < _SILENCE_S


async def test_a_turn_server_leads_to_media_workers_and_nowhere_else(
    installed: Installation, ice_servers: list[RTCIceServer]
) -> None:
    found = await installed.cluster.get("-n", "kube-system", "pods", "-l", "k8s-app=kube-dns")
    dns = (found["items"][0]["status"]["podIP"], 1053)
    async with stranger(installed.cluster) as outside, _allocation(ice_servers) as (transport, peer):
        for refused in (_API_SERVER, _NODE, (installed.address, 8080), ("127.0.0.1", 3478)):
            transport.sendto(b"hello", refused)
            error = await asyncio.wait_for(peer.errors.get(), _REFUSED_S)
            assert isinstance(error, stun.TransactionFailed)
            assert error.response.error_code == 403, refused
        for packet, pod in ((b"hello", (outside.address, 40_000)), (_DNS_QUERY, dns)):
            assert await _answer(packet, pod)  # nothing but the policy of the TURN servers is in the way
            transport.sendto(packet, pod)
            with pytest.raises(TimeoutError):
                print(pod, await asyncio.wait_for(peer.received.get(), _ANSWERED_S))


class _Peer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.over = asyncio.Event()

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        self.received.put_nowait(data)

    def error_received(self, error: Exception) -> None:
        self.errors.put_nowait(error)

    def connection_lost(self, _: Exception | None) -> None:
        self.over.set()


@contextlib.asynccontextmanager
async def _allocation(ice_servers: list[RTCIceServer]) -> AsyncIterator[tuple[turn.TurnTransport, _Peer]]:
    (server,) = ice_servers
    transport, peer = await turn.create_turn_endpoint(_Peer, _TURN, server.username, server.credential)
    try:
        yield transport, peer
    finally:
        transport.close()
        await peer.over.wait()


@contextlib.asynccontextmanager
async def _talking(installed: Installation, ice_servers: list[RTCIceServer]) -> AsyncIterator[Talk]:
    """A caller who comes back by themselves."""
    (question,) = await spoken("What do you have today?")
    url = installed.signaling_url
    async with Caller(url, AGENT, gateways=[url], ice_servers=ice_servers) as caller:
        await caller.wait_for_status("listening")
        yield Talk(caller, question, TEXT)
        await caller.hang_up()


def _pair(caller: Caller) -> ice.CandidatePair:
    """Which the caller's sound takes. Needs private names of aiortc."""
    connection: Any = caller.pc.getTransceivers()[0].sender.transport.transport._connection
    pair: ice.CandidatePair = connection._nominated[1]
    return pair


async def _media_addresses(installed: Installation) -> set[tuple[str, int]]:
    names = await installed.pods(MEDIA)
    found = await installed.cluster.get("-n", MEDIA.namespace, "pods")
    return {(pod["status"]["podIP"], 40_000) for pod in found["items"] if pod["metadata"]["name"] in names}


async def _answer(packet: bytes, address: tuple[str, int]) -> bytes:
    """To a packet of this machine."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setblocking(False)
        own.connect(address)
        await loop.sock_sendall(own, packet)
        return await asyncio.wait_for(loop.sock_recv(own, 2000), _ANSWERED_S)
