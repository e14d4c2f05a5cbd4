"""How a session ends."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from aioice import ice as aioice_ice
from structlog.testing import capture_logs

from callers.signaling import NotConnected
from media_worker.core.path_selection import Source
from media_worker.core.rtp import is_rtcp
from media_worker.peer import Peer
from media_worker.rtp_session import RtpSession
from shared.audio import UPLINK_RATE
from shared.events import (
    CallerConnected,
    CloseSession,
    EndSession,
    OfferAnswered,
    PlayoutReported,
    PublishEvent,
    SessionClosed,
)
from tests.fakes.media_correspondents import RunningMediaWorker, running_media_worker
from tests.fakes.patience import eventually
from tests.fakes.sounds import tone
from tests.media_worker.calls import Call, MovedCaller, calling, connect, of_another_peer
from tests.media_worker.core.test_sdp_offer import CHROMIUM


async def test_a_hang_up_leaves_nothing_behind(house: RunningMediaWorker) -> None:
    tasks_before = {task.get_name() for task in asyncio.all_tasks()}
    async with calling(house) as call:
        session, context = call.session, call.session._context
    assert await call.closed() == "hangup"
    assert (await house.pipeline.message(SessionClosed)).reason == "hangup"
    await eventually(lambda: not house.sessions)
    assert context.port._by_ufrag == {}
    assert [each.owners for each in context.port._sockets] == [{}]
    assert not any(context.clock._groups)
    assert session._peer._dtls.state in ("closed", "connected")
    await eventually(lambda: {task.get_name() for task in asyncio.all_tasks()} <= tasks_before)


async def test_the_last_event_says_that_the_session_ended(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.gateway.send(CloseSession(session="s1", reason="operator"))
        event = await call.event_on_both_channels("status", status="ended")
        assert event["reason"] == "operator"
        assert await call.closed() == "operator"


async def test_the_agent_hangs_up_when_it_has_said_goodbye(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
        await house.pipeline.send(EndSession(session="s1", epoch=1))
        assert await call.closed() == "agent_hangup"
        assert (await house.pipeline.message(PlayoutReported, state="finished")).played_up_to == 12_000


async def test_an_agent_with_nothing_to_say_hangs_up_at_once(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.send(EndSession(session="s1", epoch=1))
        assert await call.closed() == "agent_hangup"


async def test_a_wrong_certificate_ends_the_session_with_its_code(house: RunningMediaWorker) -> None:
    connecting = asyncio.create_task(connect(house, change=of_another_peer))
    assert (await house.gateway.message(SessionClosed)).reason == "dtls_failed"
    connecting.cancel()
    (call,) = await asyncio.gather(connecting, return_exceptions=True)
    if isinstance(call, Call):
        await call.caller.__aexit__()


async def test_a_caller_who_never_connects_is_ended(broker_url: str) -> None:
    async with running_media_worker(broker_url, media_connect_timeout_s=0.2) as house:
        assert isinstance(await house.gateway.offer("s1", CHROMIUM), OfferAnswered)
        assert (await house.gateway.message(SessionClosed)).reason == "connect_timeout"


async def test_a_caller_who_falls_silent_is_ended(broker_url: str) -> None:
    async with running_media_worker(broker_url, media_silent_timeout_s=1) as house, calling(house) as call:
        # The network is gone: neither packets nor goodbyes get through.
        await call.caller.pc.getSenders()[0].transport.transport._connection.close()
        assert await call.closed() == "silent_timeout"


@pytest.mark.parametrize("kind", ["RTP", "RTCP", "checks"])
async def test_a_caller_of_whom_only_one_kind_of_packet_arrives_is_not_silent(
    broker_url: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(aioice_ice, "CONSENT_INTERVAL", 0.5)  # aiortc reports every 0.5 to 1.5 s
    async with running_media_worker(broker_url, media_silent_timeout_s=2) as house, calling(house) as call:
        session = call.session
        taken: dict[str, Callable[..., None]] = {
            "RTP": session.on_media,
            "RTCP": session.on_media,
            "checks": session.on_check,
        }
        arrived = Counter[str]()

        def take(what: str, *arguments: Any) -> None:
            arrived[what] += 1
            if what == kind:
                taken[what](*arguments)

        def on_media(datagram: bytes, source: Source, now: float) -> None:
            take("RTCP" if is_rtcp(datagram[1]) else "RTP", datagram, source, now)

        monkeypatch.setattr(session, "on_media", on_media)
        monkeypatch.setattr(session, "on_check", partial(take, "checks"))
        heard_until = session._uplink._position + 4 * UPLINK_RATE
        await eventually(lambda: session._uplink._position > heard_until or session._closed.done())
        assert not session._closed.done()
        assert min(arrived.values()) > 0 and len(arrived) == 3
        kind = "none"
        assert await call.closed() == "silent_timeout"


async def test_logs_name_no_addresses_of_callers(house: RunningMediaWorker) -> None:
    with capture_logs() as logs:
        async with calling(house) as call:
            moved = MovedCaller(call.answer)
            await moved.check()
            moved.socket.close()
        await call.closed()
    addresses = [entry["address"].rpartition(":")[0] for entry in logs if entry["event"] == "path_address"]
    assert len(set(addresses)) == 2
    others = [str(entry) for entry in logs if entry["log_level"] != "debug"]
    assert others and not any(address in entry for address in addresses for entry in others)


async def test_a_failure_of_one_session_ends_only_that_one(house: RunningMediaWorker) -> None:
    async with calling(house, "s1") as broken, calling(house, "s2"):
        await house.pipeline.send(PublishEvent(session="s1", epoch=1, type="x", fields={"not": b"json"}))
        assert await broken.closed() == "internal"
        await house.pipeline.say("s2", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, session="s2", state="finished")


async def test_a_failure_while_connecting_ends_the_session_as_internal(
    house: RunningMediaWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Peer, "open_data", fail)
    with pytest.raises(NotConnected):
        await connect(house)
    assert (await house.gateway.message(SessionClosed)).reason == "internal"
    await eventually(lambda: not house.sessions)


async def test_a_caller_who_accepts_no_messages_can_still_be_ended(house: RunningMediaWorker) -> None:
    def taking_no_messages(offer: str) -> str:
        return re.sub(r"a=max-message-size:\d+", "a=max-message-size:1", offer)

    call = await connect(house, change=taking_no_messages)
    await house.pipeline.message(CallerConnected)
    await eventually(call.session._peer.opened.is_set)
    port = call.session._context.port
    await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
    await house.pipeline.message(PlayoutReported, state="finished")
    await house.gateway.send(CloseSession(session="s1", reason="operator"))
    assert await call.closed() == "operator"
    assert (await house.pipeline.message(SessionClosed)).reason == "operator"
    await eventually(lambda: not house.sessions)
    assert (port._by_ufrag, [each.owners for each in port._sockets]) == ({}, [{}])
    await call.caller.wait_for(lambda: call.caller.pc.connectionState == "closed")
    await call.caller.__aexit__()


async def test_a_failing_goodbye_still_ends_the_session(
    house: RunningMediaWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    call = await connect(house)
    await house.pipeline.message(CallerConnected)
    port, peer = call.session._context.port, call.session._peer
    monkeypatch.setattr(RtpSession, "send_bye", fail)
    await house.gateway.send(CloseSession(session="s1", reason="operator"))
    assert await call.closed() == "operator"
    assert (await house.pipeline.message(SessionClosed)).reason == "operator"
    await eventually(lambda: not house.sessions)
    assert (port._by_ufrag, [each.owners for each in port._sockets]) == ({}, [{}])
    assert peer._closing
    await call.caller.__aexit__()
