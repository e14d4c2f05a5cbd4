"""One caller's life, with a stock WebRTC peer, a real broker, and stand-ins for gateway and pipeline."""

import asyncio
import itertools
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from aioice import ice as aioice_ice
from aioice import stun as aioice_stun
from aiortc.sdp import SessionDescription

from media_worker.core.rate_limiter import BURST
from media_worker.peer import Peer
from media_worker.rtp_session import RtpSession
from media_worker.session import Session
from shared.audio import Pcm, as_samples
from shared.events import (
    CallerConnected,
    ClientEventSent,
    CloseSession,
    EndSession,
    FlushPlayout,
    InterruptRequested,
    MuteChanged,
    OfferAnswered,
    OfferRefused,
    PausePlayout,
    PipelineAttached,
    PlayoutReported,
    PublishEvent,
    ResumePlayout,
    SessionClosed,
    TalkChanged,
    TextReceived,
    UpdateOffer,
)
from shared.frames import AudioFrame, SilenceRun
from tests.fakes.counters import Gained
from tests.fakes.media_correspondents import PATIENCE_S, RunningMediaWorker, running_media_worker
from tests.fakes.patience import eventually
from tests.fakes.sounds import strength, tone
from tests.integration.caller import RATE, Caller
from tests.media_worker.core.test_sdp_offer import CHROMIUM
from tests.media_worker.test_peer import all_acknowledged

CLIENT_HELLO = bytes.fromhex(
    "16feff000000000000000000360100002a000000000000002afefd"
    + "00" * 32  # random
    + "0000"  # no session, no cookie
    + "00020002"  # one cipher suite: NULL
    + "0100"
)
"""A DTLS ClientHello that offers only a NULL cipher: it ended aiortc sessions for good (evidence of the design)."""


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
        return self.house.worker._sessions[self.id]

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

    caller = await Caller(exchange, **options).__aenter__()
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
    return strength(caller.heard_samples()[-RATE // 2 :], hertz, RATE) > 0.5


@pytest.fixture
async def house(broker_url: str) -> AsyncIterator[RunningMediaWorker]:
    async with running_media_worker(broker_url, media_silent_timeout_s=3) as running:
        yield running


# -- sound ------------------------------------------------------------------------------------------------------------


async def test_each_side_hears_the_other(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.caller.microphone.say(tone(440, 2, RATE))
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        report = await house.pipeline.message(PlayoutReported, state="finished")
        assert report.played_up_to == 24_000
        await call.caller.wait_for(lambda: hears(call.caller, 660))
        await house.pipeline.until(lambda: strength(call.heard_up()[-8_000:], 440, 16_000) > 0.5)


async def test_each_side_hears_the_other_over_ipv6(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice_ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["::1"])
    async with running_media_worker(broker_url, public_ips="::1") as house, calling(house) as call:
        assert "candidate:1 1 udp" in call.answer and "127.0.0.1" not in call.answer
        call.caller.microphone.say(tone(440, 2, RATE))
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await call.caller.wait_for(lambda: hears(call.caller, 660))
        await house.pipeline.until(lambda: strength(call.heard_up()[-8_000:], 440, 16_000) > 0.5)


async def test_encoding_takes_the_effort_that_there_is_room_for(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_media_worker(broker_url, media_complexity=3) as house, calling(house) as call:
        assert call.session._downlink.complexity == 3
        monkeypatch.setattr(house.worker._admission, "complexity", lambda wanted, core_share: wanted - 2)
        await eventually(lambda: call.session._downlink.complexity == 1)
        async with calling(house, "s2") as later:
            assert later.session._downlink.complexity == 1


async def test_the_callers_time_line_has_no_gap(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > 60)
        items = house.pipeline.uplink("s1")
        assert call.id == "s1"
    assert items[0].first_sample == 0
    for before, after in itertools.pairwise(items):
        assert (after.seq, after.first_sample) == (before.seq + 1, before.end_sample)


async def test_a_flush_silences_the_agent_and_says_what_was_heard(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.say("s1", tone(660, 2, 24_000).tobytes())
        began = await house.pipeline.message(PlayoutReported, state="playing")
        assert began.at_unix_ms == pytest.approx(time.time() * 1000, abs=60_000)
        await house.pipeline.send(FlushPlayout(session="s1", epoch=1))
        report = await house.pipeline.message(PlayoutReported, state="flushed")
        assert 0 < report.played_up_to < 48_000
        assert call.session._downlink.is_idle


async def test_a_pause_can_be_resumed(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="playing")
        await house.pipeline.send(PausePlayout(session="s1", epoch=1))
        paused = await house.pipeline.message(PlayoutReported, state="paused")
        assert paused.played_up_to < 24_000
        await house.pipeline.send(ResumePlayout(session="s1", epoch=1))
        finished = await house.pipeline.message(PlayoutReported, state="finished")
        assert finished.played_up_to == 24_000


async def test_a_muted_caller_is_silence_and_can_be_heard_again(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.caller.microphone.say(tone(440, 6, RATE))
        await house.pipeline.until(lambda: strength(call.heard_up()[-3_200:], 440, 16_000) > 0.5)
        call.tell_on_channel({"type": "mute"})
        await house.pipeline.message(MuteChanged, muted=True)
        muted_at = len(house.pipeline.uplink("s1"))
        await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > muted_at + 20)
        assert all(isinstance(item, SilenceRun) for item in house.pipeline.uplink("s1")[muted_at + 1 :])
        call.tell_on_channel({"type": "mute", "data": {"muted": False}})
        await house.pipeline.message(MuteChanged, muted=False)
        heard = len(call.heard_up())
        await house.pipeline.until(lambda: len(call.heard_up()) > heard + 3_200)


async def test_the_button_to_talk_is_told_to_the_pipeline(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        for pressed in (True, False):
            call.tell_on_channel({"type": "talk", "pressed": pressed})
            await house.pipeline.message(TalkChanged, pressed=pressed)


async def test_a_refused_rate_harms_nobody(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.send(AudioFrame("s1", 1, 0, 0, 22_050, 1, bytes(4_410)))
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")


# -- events and control messages --------------------------------------------------------------------------------------


async def test_events_are_the_same_on_both_channels_and_numbered(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        fields = {"role": "agent", "text": "Grüß Gott"}
        await house.pipeline.send(PublishEvent(session="s1", epoch=1, type="transcript", fields=fields))
        event = await call.event_on_both_channels("transcript")
        assert (event["role"], event["text"], event["data"]) == ("agent", "Grüß Gott", fields)
        seqs = [event["seq"] for event in call.caller.channel_events]
        assert seqs == sorted(set(seqs))


async def test_what_was_published_before_the_channel_opened_is_not_lost(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        assert call.caller.channel_events[0]["type"] == "status"
        assert call.caller.channel_events[0]["status"] == "connecting"
        assert call.caller.channel_events[0]["seq"] == 1


async def test_control_messages_reach_the_pipeline(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.tell_on_channel({"type": "text", "text": "a table for two"})
        call.tell_on_channel({"type": "interrupt"})
        assert (await house.pipeline.message(TextReceived)).text == "a table for two"
        await house.pipeline.message(InterruptRequested)


async def test_a_ping_is_answered(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.tell_on_channel({"type": "ping", "id": 42})
        await call.caller.wait_for(lambda: any(e["type"] == "pong" for e in call.caller.channel_events))
        (pong,) = [e for e in call.caller.channel_events if e["type"] == "pong"]
        assert (pong["id"], pong["data"]) == (42, {"id": 42})


async def test_bad_messages_are_answered_with_an_error_and_harm_nothing(house: RunningMediaWorker) -> None:
    unknown = Gained("antiphon_media_control_unknown_total")
    async with calling(house) as call:
        for bad in ("{", "[]", '{"type": "text"}', "x" * 20_000, '{"type": "what"}'):
            call.tell_on_channel(bad)
        call.tell_on_channel({"type": "text", "text": "still here"})
        await house.pipeline.message(TextReceived, text="still here")

        def errors() -> list[str]:
            return [event["code"] for event in call.caller.channel_events if event["type"] == "error"]

        await call.caller.wait_for(lambda: len(errors()) == 4)
        assert errors() == ["bad_json", "bad_message", "bad_message", "message_too_large"]
        assert unknown() == 1


async def test_texts_that_come_faster_than_anybody_types_cost_no_model_requests(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        for number in range(14):
            call.tell_on_channel({"type": "text", "text": f"question {number}"})
        await call.caller.wait_for(lambda: any(e["type"] == "error" for e in call.caller.channel_events))
        call.tell_on_channel({"type": "interrupt"})
        await house.pipeline.message(InterruptRequested, session="s1")
        assert len(house.pipeline.messages(TextReceived)) == 10


async def test_a_client_that_tells_too_much_is_told_and_goes_on(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        for n in range(2 * BURST):
            call.tell_on_channel({"type": "mute", "muted": n % 2 == 0})
        error = await call.event_on_both_channels("error")
        assert error["code"] == "too_many_messages"
        assert BURST <= len(house.pipeline.messages(MuteChanged)) < 2 * BURST
        call.tell_on_channel({"type": "mute", "muted": False})
        await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")


async def test_a_caller_who_floods_the_channel_is_ended_with_that_reason(house: RunningMediaWorker) -> None:
    async with calling(house, "s1") as flooding, calling(house, "s2"):
        channel = flooding.caller.channel
        assert channel is not None
        while channel.readyState == "open":
            for _ in range(BURST):
                flooding.tell_on_channel({"type": "ping", "id": 1})
            await eventually(lambda: all_acknowledged(channel) or channel.readyState != "open")
        assert await flooding.closed() == "too_many_messages"
        await house.pipeline.say("s2", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, session="s2", state="finished")


async def test_a_caller_without_a_data_channel_talks_too(house: RunningMediaWorker) -> None:
    async with calling(house, data=False):
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")


# -- who may speak for the agent --------------------------------------------------------------------------------------


async def test_a_pipeline_worker_that_was_replaced_is_ignored(house: RunningMediaWorker) -> None:
    stale = Gained("antiphon_media_stale_epoch_total")
    async with calling(house) as call:
        await house.pipeline.attach("s1", epoch=2)
        await house.pipeline.until(lambda: len(house.pipeline.messages(CallerConnected)) == 2)
        await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes(), epoch=1)
        await house.pipeline.send(
            EndSession(session="s1", epoch=1, after_playout=False),
            PipelineAttached(session="s1", epoch=1, pipeline_worker="p-old"),
        )
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes(), epoch=2)
        report = await house.pipeline.message(PlayoutReported, state="finished")
        assert report.played_up_to == 4_800
        assert stale() == 5 + 1 + 2
        assert call.session.id == "s1"


async def test_after_a_takeover_the_callers_frames_carry_the_new_epoch(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.until(lambda: any(item.epoch == 1 for item in house.pipeline.uplink("s1")))
        await house.pipeline.attach("s1", epoch=2)
        await house.pipeline.until(lambda: any(item.epoch == 2 for item in house.pipeline.uplink("s1")))
        items = house.pipeline.uplink("s1")
        assert [item.seq for item in items] == list(range(len(items)))


async def test_without_a_pipeline_worker_the_caller_is_told_and_ended(broker_url: str) -> None:
    async with running_media_worker(broker_url, media_pipeline_timeout_s=0.3) as house:

        async def exchange_without_pipeline(sdp: str) -> str:
            reply = await house.gateway.offer("s1", sdp)
            assert isinstance(reply, OfferAnswered)
            return reply.sdp

        async with Caller(exchange_without_pipeline) as caller:
            assert (await house.gateway.message(SessionClosed)).reason == "no_pipeline"
            events = [m.event for m in house.gateway.messages(ClientEventSent)]
            assert [e["code"] for e in events if e["type"] == "error"] == ["no_pipeline"]
            assert events[-1]["status"] == "ended"
            assert caller.microphone is not None


async def test_what_the_caller_said_before_the_pipeline_came_is_kept_for_two_seconds(broker_url: str) -> None:
    async with running_media_worker(broker_url) as house:

        async def exchange_without_pipeline(sdp: str) -> str:
            reply = await house.gateway.offer("s1", sdp)
            assert isinstance(reply, OfferAnswered)
            return reply.sdp

        async with Caller(exchange_without_pipeline):
            session = house.worker._sessions["s1"]
            await eventually(lambda: session._uplink._seq >= 120)
            await house.pipeline.attach("s1")
            await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > 100)
            items = house.pipeline.uplink("s1")
            assert items[0].seq > 0
            assert [item.seq for item in items] == list(range(items[0].seq, items[0].seq + len(items)))


# -- ends -------------------------------------------------------------------------------------------------------------


async def test_a_hang_up_leaves_nothing_behind(house: RunningMediaWorker) -> None:
    tasks_before = {task.get_name() for task in asyncio.all_tasks()}
    async with calling(house) as call:
        session, context = call.session, call.session._context
    assert await call.closed() == "hangup"
    assert (await house.pipeline.message(SessionClosed)).reason == "hangup"
    await eventually(lambda: not house.worker._sessions)
    assert context.port._by_ufrag == {}
    assert [each.owners for each in context.port._sockets] == [{}]
    assert not any(context.clock._groups)
    assert session._peer._dtls.state in ("closed", "connected")
    await eventually(lambda: {task.get_name() for task in asyncio.all_tasks()} <= tasks_before)


async def test_a_callers_last_event_says_that_it_is_over(house: RunningMediaWorker) -> None:
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
        finished = [r.played_up_to for r in house.pipeline.messages(PlayoutReported) if r.state == "finished"]
        assert finished == [12_000]


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


async def test_a_fault_of_one_session_ends_that_one_only(house: RunningMediaWorker) -> None:
    async with calling(house, "s1") as broken, calling(house, "s2"):
        await house.pipeline.send(PublishEvent(session="s1", epoch=1, type="x", fields={"not": b"json"}))
        assert await broken.closed() == "internal"
        await house.pipeline.say("s2", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, session="s2", state="finished")


async def test_a_fault_while_connecting_ends_the_session_as_our_own(
    house: RunningMediaWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Peer, "open_data", fail)
    call = await connect(house)
    assert await call.closed() == "internal"
    await eventually(lambda: not house.worker._sessions)
    await call.caller.__aexit__()


async def test_a_caller_who_takes_no_messages_does_not_live_on_as_a_ghost(house: RunningMediaWorker) -> None:
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
    await eventually(lambda: not house.worker._sessions)
    assert (port._by_ufrag, [each.owners for each in port._sockets]) == ({}, [{}])
    await call.caller.wait_for(lambda: call.caller.pc.connectionState == "closed")
    await call.caller.__aexit__()


async def test_a_farewell_that_breaks_still_ends_the_call_for_everybody(
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
    await eventually(lambda: not house.worker._sessions)
    assert (port._by_ufrag, [each.owners for each in port._sockets]) == ({}, [{}])
    assert peer._closing
    await call.caller.__aexit__()


# -- later offers -----------------------------------------------------------------------------------------------------


def with_new_credentials(offer: str) -> str:
    offer = re.sub(r"a=ice-ufrag:\S+", "a=ice-ufrag:restarted", offer)
    return re.sub(r"a=ice-pwd:\S+", "a=ice-pwd:" + "y" * 24, offer)


async def later_offer(house: RunningMediaWorker, sdp: str, number: int = 0) -> OfferAnswered | OfferRefused:
    gateway = house.gateway
    gateway.received.clear()
    await gateway.send(UpdateOffer(session="s1", gateway=gateway.id, sdp=sdp, offer_number=number))
    return await gateway.reply("s1")


async def test_a_reply_says_to_which_offer(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        answered = await later_offer(house, with_new_credentials(call.offer), number=1)
        assert isinstance(answered, OfferAnswered)
        assert answered.offer_number == 1
        refused = await later_offer(house, "nonsense", number=2)
        assert isinstance(refused, OfferRefused)
        assert refused.offer_number == 2


async def test_the_same_offer_again_gets_the_same_answer_and_disturbs_nothing(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        reply = await later_offer(house, call.offer)
        assert isinstance(reply, OfferAnswered)
        first, again = (SessionDescription.parse(sdp).media[0] for sdp in (call.answer, reply.sdp))
        assert first.ice == again.ice
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")


async def test_on_hold_the_caller_is_sent_nothing(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        held = await later_offer(house, call.offer.replace("a=sendrecv", "a=sendonly"))
        assert isinstance(held, OfferAnswered)
        assert SessionDescription.parse(held.sdp).media[0].direction == "recvonly"
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, played_up_to=24_000, state="finished")
        assert isinstance(await later_offer(house, call.offer), OfferAnswered)
        await house.pipeline.say("s1", tone(880, 1, 24_000).tobytes(), first_sample=24_000)
        await call.caller.wait_for(lambda: hears(call.caller, 880))
        assert strength(call.caller.heard_samples(), 660, RATE) < 0.1


def of_another_peer(offer: str) -> str:
    return re.sub(r"(a=fingerprint:sha-\d+ )(\w\w)", lambda m: m[1] + f"{int(m[2], 16) ^ 1:02X}", offer)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (of_another_peer, "offer_changed"),
        (lambda offer: offer.replace(" 96", " 97").replace(":96 ", ":97 "), "offer_changed"),
        (lambda offer: offer.replace("a=mid:0", "a=mid:5"), "offer_changed"),
        (lambda offer: offer.replace("a=sctp-port", "a=no-sctp-port"), "offer_changed"),
        (lambda offer: offer.replace("v=0", "nonsense"), "bad_sdp"),
    ],
)
async def test_an_offer_of_something_else_changes_nothing(
    house: RunningMediaWorker, change: Callable[[str], str], code: str
) -> None:
    async with calling(house) as call:
        reply = await later_offer(house, change(with_new_credentials(call.offer)))
        assert isinstance(reply, OfferRefused)
        assert (reply.code, reply.final) == (code, False)
        assert call.session._path._agent.ufrags == [call.session._path.credentials.ufrag]


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


async def test_after_an_ice_restart_the_call_goes_on_over_the_new_path(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        reply = await later_offer(house, with_new_credentials(call.offer))
        assert isinstance(reply, OfferAnswered)
        old, new = (SessionDescription.parse(sdp).media[0] for sdp in (call.answer, reply.sdp))
        assert old.ice is not None and new.ice is not None and old.dtls is not None and new.dtls is not None
        assert (old.ice.usernameFragment, old.ice.password) != (new.ice.usernameFragment, new.ice.password)
        assert old.dtls.fingerprints == new.dtls.fingerprints
        assert old.ssrc == new.ssrc
        # Before a check with the new credentials the old path carries the call.
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, played_up_to=4_800, state="finished")
        moved = MovedCaller(reply.sdp)
        assert (await moved.check()).message_class == aioice_stun.Class.RESPONSE
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes(), first_sample=4_800)
        assert await moved.datagram(lambda data: 128 <= data[0] < 192)
        assert (await moved.check()).message_class == aioice_stun.Class.RESPONSE
        moved.socket.close()


async def test_many_ice_restarts_leave_two_fragments(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        port = call.session._context.port
        for n in range(5):
            offer = with_new_credentials(call.offer).replace("ufrag:restarted", f"ufrag:restarted{n}")
            assert isinstance(await later_offer(house, offer), OfferAnswered)
        assert set(port._by_ufrag) == set(call.session._path._agent.ufrags)
        assert len(port._by_ufrag) == 2


async def test_a_caller_whose_address_changes_is_followed(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        moved = MovedCaller(call.answer)
        mapped = (await moved.check()).attributes["XOR-MAPPED-ADDRESS"]
        assert mapped == moved.socket.getsockname()
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        assert await moved.datagram(lambda data: 128 <= data[0] < 192)
        moved.socket.close()


async def test_any_number_of_addresses_costs_a_bounded_number_of_entries(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        owners = call.session._context.port._sockets[0].owners
        for _ in range(40):
            moved = MovedCaller(call.answer)
            await moved.check()
            moved.socket.close()
        assert len(owners) <= 16


# -- hostile datagrams ------------------------------------------------------------------------------------------------


async def test_a_spoofed_client_hello_and_a_flood_of_junk_do_not_hurt_a_call(house: RunningMediaWorker) -> None:
    """From addresses that ICE has not validated, before, while and after the caller connects."""
    dropped = Gained("antiphon_media_datagrams_dropped_total", why="unvalidated_address")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent = 0

    def attack(datagrams: int) -> None:
        nonlocal sent
        for n in range(datagrams):
            stranger.send(CLIENT_HELLO if n % 2 else bytes([20 + n % 200]) + b"junk" * 20)
        sent += datagrams

    async def attacked_exchange(sdp: str) -> str:
        answer = await house.exchange("s1", sdp)
        candidate = SessionDescription.parse(answer).media[0].ice_candidates[0]
        stranger.connect((candidate.ip, candidate.port))
        attack(1)
        for _ in range(40):
            attack(50)
            await asyncio.sleep(0)
        return answer

    async with Caller(attacked_exchange) as caller:
        await house.pipeline.message(CallerConnected)
        for _ in range(40):
            attack(50)
            await asyncio.sleep(0)
        caller.microphone.say(tone(440, 1, RATE))
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
        await caller.wait_for(lambda: hears(caller, 660))
        await eventually(lambda: dropped() >= sent)
    stranger.close()
    assert dropped() == sent == 4_001
    assert (await house.gateway.message(SessionClosed)).reason == "hangup"


async def test_nothing_is_sent_to_an_address_that_an_offer_merely_names(house: RunningMediaWorker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.setblocking(False)
        host, number = victim.getsockname()
        named = f"a=candidate:1 1 udp 2130706431 {host} {number} typ host\r\n"
        offer = CHROMIUM.replace("a=mid:0\r\n", "a=mid:0\r\n" + named * 200)
        assert isinstance(await house.gateway.offer("s9", offer), OfferAnswered)
        async with calling(house):
            await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
            await house.pipeline.message(PlayoutReported, state="finished")
        with pytest.raises(BlockingIOError):
            victim.recv(1)


async def test_checks_with_a_guessed_password_are_not_answered(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        guessing = MovedCaller(call.answer)
        right, guessing.password = guessing.password, "guessed" * 4
        for _ in range(10):
            request = asyncio.create_task(guessing.check())
            await asyncio.sleep(0.01)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        guessing.password = right
        answered = await guessing.check()
        assert answered.check_message_integrity(right.encode()), "the first answer is to the right password"
        guessing.socket.close()


async def test_the_callers_own_exchange_is_not_disturbed_by_its_neighbours(house: RunningMediaWorker) -> None:
    calls = [asyncio.create_task(connect(house, f"s{n}")) for n in range(4)]
    connected = await asyncio.gather(*calls)
    for n, call in enumerate(connected):
        await house.pipeline.message(CallerConnected, session=call.id)
        await house.pipeline.say(call.id, tone(400 + 200 * n, 1, 24_000).tobytes())
    for n, call in enumerate(connected):
        await call.caller.wait_for(partial(hears, call.caller, 400 + 200 * n))
    for call in connected:
        await call.caller.__aexit__()
