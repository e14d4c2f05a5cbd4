"""Calls over the networks that callers have: NAT, firewalls, loss, outages, IPv6 and narrow links.

The figures are printed in the summary.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable

import pytest
from aioice import stun, turn

from callers.call_record import HEARD_RATE
from callers.caller import Caller
from callers.impairment import Impairment
from callers.likeness import compare
from callers.voice import RATE
from pipeline_worker.engines.resampling import resampled
from shared.audio import UPLINK_RATE, Pcm
from tests.integration.talk import Talk
from tests.load.heard_words import silences
from tests.load.tone_words import account, name, speak, text_of, words_in
from tests.network.bad_link import bad_link
from tests.network.conftest import Stage
from tests.network.hosts import SERVER, SERVER_6, TURN, bridged, routed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

Record = Callable[[str, object], None]
_HEARD_S = 1.0
_WORST_GAP_S = 3.0
_END_TIMEOUT_S = 25.0
_BROWSER_CHECKS_S = 2.0
"""Chromium checks every 2.5 s at least. aiortc checks every 4 to 6 s; with this, every 1.6 to 2.4 s."""
_SAME_SOUND = 0.8
_TRIES = 3
_BAD = Impairment(burst_loss=0.1, jitter_ms=40)
_DELAY_MS = 60.0
"""With the jitter 80 on average."""
_CALLERS = 3
_WORDS = 12
_MOST = 0.5


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _longest_gap(talk: Talk, since_s: float, good_s: float) -> float:
    """Between two words of the reply, in seconds. Raises `TimeoutError` if none is heard after `good_s`."""
    async with asyncio.timeout(_END_TIMEOUT_S):
        while not (words := talk.words()) or words[-1].at_s < good_s:  # noqa: ASYNC110 (sound has no event)
            await asyncio.sleep(0.25)
    return max(end_s - begin_s for begin_s, end_s in silences(words, words[0].at_s) if end_s > since_s)


@pytest.mark.parametrize("changes", ["port", "address"])
async def test_the_callers_nat_gives_them_another(
    stage: Stage, changes: str, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", _BROWSER_CHECKS_S)
    with routed(stage.server) as network, network.caller:
        network.router.translate("40000-40999")
        async with stage.talking() as talk:
            connection = talk.caller.pc
            await talk.ask()
            await talk.hear(_HEARD_S)
            at_s = _now_s()
            network.router.rebind("41000-41999") if changes == "port" else network.router.move()
            gap_s = await _longest_gap(talk, at_s, at_s + _WORST_GAP_S)
            record_property("gap in s", round(gap_s, 2))
            assert talk.caller.pc is connection
            assert talk.caller.record.end_reason is None
    assert gap_s < _WORST_GAP_S


async def test_udp_is_blocked_for_five_seconds(stage: Stage, record_property: Record) -> None:
    with routed(stage.server) as network, network.caller:
        async with stage.talking(resumes=True) as talk:
            await talk.ask()
            await talk.hear(_HEARD_S)
            at_s = _now_s()
            network.router.block_udp()
            await asyncio.sleep(5)
            network.router.pass_udp()
            back_s = _now_s()
            gap_s = await _longest_gap(talk, at_s, back_s)
            record_property("gap in s", round(gap_s, 2))
            assert talk.caller.reconnections == 0
            assert talk.caller.record.end_reason is None
    assert gap_s < back_s - at_s + 1.0


async def test_udp_is_blocked_for_twenty_seconds(stage: Stage, record_property: Record) -> None:
    """One caller is the specification's client, and one comes back by itself: its first attempt is in vain."""
    with routed(stage.server) as network, network.caller:
        async with stage.talking() as plain, stage.talking(resumes=True) as talk:
            session, at_s = talk.session, _now_s()
            network.router.block_udp()
            await asyncio.sleep(20)
            network.router.pass_udp()
            await talk.caller.wait_for(lambda: talk.caller.reconnections == 1)
            record_property("seconds after the block until the caller is back", round(_now_s() - at_s - 20, 1))
            assert plain.caller.record.end_reason == "silent_timeout"
            assert {e["sessionId"] for e in talk.caller.socket_events if e["type"] == "session"} == {session}
            assert talk.caller.record.end_reason is None
            await talk.ask()
            await talk.hear(_HEARD_S)


async def test_udp_is_blocked_and_the_caller_comes_through_a_turn_server(stage: Stage) -> None:
    with routed(stage.server) as network, network.caller:
        network.router.block_udp()
        async with Caller(stage.signaling_url, "echo", ice_servers=stage.ice_servers()) as caller:
            await caller.wait_for_status("listening")
            assert await _is_echoed(caller, stage.question)


async def test_the_turn_server_leads_to_the_media_worker_and_nowhere_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage.server:
        listener = _udp_socket(SERVER)
    with routed(stage.server) as network, network.caller, listener:
        (server,) = stage.ice_servers()
        allocation = functools.partial(
            turn.create_turn_endpoint, _Peer, (TURN, stage.turn.port), server.username, server.credential
        )
        transport, peer = await allocation(transport="tcp")
        transport.sendto(b"hello", listener.getsockname())
        assert await asyncio.get_running_loop().sock_recv(listener, 100) == b"hello"
        for host in ("127.0.0.1", TURN, "203.0.113.2", "198.51.100.2"):
            transport.sendto(b"PING", (host, stage.deployment.broker_port))
            refusal = await asyncio.wait_for(peer.errors.get(), 5)
            assert isinstance(refusal, stun.TransactionFailed)
            assert refusal.response.error_code == 403, host
        transport.close()
        await peer.over.wait()
        monkeypatch.setattr(turn, "UDP_TRANSPORT", turn.TCP_TRANSPORT)  # RFC 6062, as the broker speaks TCP
        with pytest.raises(stun.TransactionFailed):
            await allocation(transport="tcp")


async def test_ten_percent_of_the_packets_are_lost_in_bursts_and_all_are_late(
    stage: Stage, record_property: Record
) -> None:
    """What is lost is lost: the media worker conceals at most 100 ms of a burst, and most words survive it."""
    said, _ = speak(text_of(_WORDS), RATE)
    with bridged(stage.server) as (host, middle), bad_link(middle, _BAD, _DELAY_MS) as link, host:
        async with contextlib.AsyncExitStack() as stack:
            calls = [stage.talking() for _ in range(_CALLERS)]
            talks = await asyncio.gather(*map(stack.enter_async_context, calls))
            with stage.server:
                taps = [await stack.enter_async_context(stage.tapped(talk)) for talk in talks]
            sounds = [talk.caller.microphone.play(said) for talk in talks]
            await asyncio.gather(*(sound.over.wait() for sound in sounds))
            await asyncio.gather(*(talk.ask() for talk in talks))
            await asyncio.gather(*(_reply_began(talk) for talk in talks))
            up = [_share([word.text for word in words_in(tap.pcm(), UPLINK_RATE)]) for tap in taps]
            down = [_share([word.text for word in talk.words()]) for talk in talks]
            assert all(talk.caller.record.end_reason is None for talk in talks)
    record_property("packets lost", f"{link.lost_share:.1%}")
    record_property("words understood by the server, by the callers", f"{_mean(up):.0%}, {_mean(down):.0%}")
    assert min(_mean(up), _mean(down)) > _MOST


async def _reply_began(talk: Talk) -> None:
    """Until a word was heard that comes after the first `_WORDS`."""
    later = {name(number) for number in range(_WORDS, _WORDS + 16)}
    async with asyncio.timeout(_END_TIMEOUT_S):
        while not later & {word.text for word in talk.words()}:  # noqa: ASYNC110 (sound has no event)
            await asyncio.sleep(0.25)


def _share(heard: list[str]) -> float:
    """Of the first words."""
    return 1 - account(text_of(_WORDS), heard).lost / _WORDS


def _mean(shares: list[float]) -> float:
    return sum(shares) / len(shares)


async def test_the_caller_has_ipv6_only(stage: Stage) -> None:
    with routed(stage.server, ipv6=True) as network, network.caller:
        async with stage.gateway_on(SERVER_6) as url, Caller(url, "echo") as caller:
            await caller.wait_for_status("listening")
            assert await _is_echoed(caller, stage.question)


async def test_the_path_is_narrow(stage: Stage) -> None:
    """Its MTU is 1280, and the caller does not know. A long text goes there and back on the data channel."""
    text = ("Is the garden open? " * 100).strip()
    with routed(stage.server) as network, network.caller:
        network.router.narrow(1_280)
        async with stage.talking() as talk:
            talk.caller.send(type="text", text=text)
            await talk.caller.wait_for(lambda: any(e.get("text") == text for e in talk.caller.channel_events))
            await talk.hear(_HEARD_S)


async def _is_echoed(caller: Caller, words: Pcm) -> bool:
    """Whether the echo agent repeats the words. Tried again, because a busy machine may spoil some of the sound."""
    said, heard = resampled(words, RATE, HEARD_RATE), caller.record.heard
    for _ in range(_TRIES):
        at_s = _now_s()
        sound = caller.microphone.play(words)
        await sound.over.wait()
        await caller.wait_for(lambda at_s=at_s: heard.sound_s(at_s) > 0.5)  # type: ignore[misc]
        await caller.wait_for(lambda: heard.is_silent(_now_s(), 0.8))
        if compare(said, heard.samples(at_s), HEARD_RATE).found > _SAME_SOUND:
            return True
    return False


class _Peer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.over = asyncio.Event()

    def error_received(self, error: Exception) -> None:
        self.errors.put_nowait(error)

    def connection_lost(self, _: Exception | None) -> None:
        self.over.set()


def _udp_socket(host: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.bind((host, 0))
    return opened
