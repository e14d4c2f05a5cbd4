import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from shared import keys
from shared.events import (
    ClientEventSent,
    CloseSession,
    GatewayDetached,
    Message,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    SessionClosed,
    UpdateOffer,
    client_event,
)
from shared.io.broker import Redis
from tests.fakes.counters import Gained
from tests.fakes.media_worker import FakeMediaWorker, answer_every_offer
from tests.fakes.running_gateway import SignalingClient, gateway_with_workers
from tests.fakes.traces import id_of, parent_of, traced


@pytest.fixture
def agents_dir(tmp_path: Path) -> Path:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    (tmp_path / "secret.yaml").write_text("id: secret\nname: Secret\nmode: echo\nlisted: false\n")
    return tmp_path


@pytest.fixture
def settings(broker: Redis, broker_url: str, agents_dir: Path) -> GatewaySettings:
    return GatewaySettings(
        redis_url=broker_url,
        agents_dir=agents_dir,
        gateway_port=0,
        drain_timeout_s=0.2,
        gateway_max_candidates=2,
        gateway_max_errors=10,
    )


async def refused(client: SignalingClient) -> str:
    error = await client.hear()
    assert error["type"] == "error", error
    assert error["message"]
    return str(error["code"])


def nothing(_: Message) -> Sequence[Message]:
    return []


async def test_a_call(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        await client.offer("v=0 my offer")
        session, sdp = await client.answer()
        assert sdp == "answer to v=0 my offer"
        await client.say(type="ice-candidate", candidate={"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host"})
        await client.say(type="ice-candidate", candidate=None)
        event = client_event("transcript", 1, {"role": "user", "text": "grüß dich"})
        worker.tell_gateway(ClientEventSent(session=session, event=event))
        assert await client.hear() == event

        await client.say(type="bye")
        assert await client.closed() == (1000, "bye")
        assert await worker.wait_for(CloseSession) == CloseSession(session=session, reason="hangup")
        assert [type(message) for message in worker.received] == [OpenSession, CloseSession]


async def test_the_call_went_on_when_only_its_websocket_was_lost(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker):
        async with gateway.client() as client:
            await client.offer()
            session, _ = await client.answer()
        detached = await worker.wait_for(GatewayDetached)
        assert detached.session == session
        assert not any(isinstance(message, CloseSession) for message in worker.received)


async def test_a_client_that_leaves_before_its_answer_releases_its_slot(
    settings: GatewaySettings, broker: Redis
) -> None:
    async with gateway_with_workers(settings, capacity=1, slots=1) as (gateway, worker):
        worker.respond = nothing
        async with gateway.client() as client:
            await client.offer()
            await worker.wait_for(OpenSession)
        await worker.wait_for(CloseSession)
    assert await broker.exists(keys.reservations("media", "media-1")) == 0


async def test_the_agent_hangs_up(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        await client.offer()
        session, _ = await client.answer()
        ended = client_event("status", 9, {"status": "ended"})
        worker.tell_gateway(ClientEventSent(session=session, event=ended))
        worker.tell_gateway(SessionClosed(session=session, reason="agent_hangup"))
        assert await client.hear() == ended
        assert await client.closed() == (1000, "agent_hangup")


async def test_an_ice_restart(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        await client.offer()
        session, _ = await client.answer()
        await client.offer("v=0 restart")
        assert await client.hear() == {"type": "answer", "sdp": "answer to v=0 restart"}
        update = await worker.wait_for(UpdateOffer)
        assert (update.session, update.sdp) == (session, "v=0 restart")


async def test_a_late_answer_to_one_ice_restart_is_not_given_for_the_next(settings: GatewaySettings) -> None:
    hasty = settings.model_copy(update={"gateway_answer_timeout_s": 1.0})
    async with gateway_with_workers(hasty) as (gateway, worker), gateway.client() as client:
        await client.offer()
        session, _ = await client.answer()
        worker.respond = nothing
        await client.offer("v=0 first restart")
        assert await refused(client) == "answer_timeout"
        number = (await worker.wait_for(UpdateOffer)).offer_number
        late = OfferAnswered(session=session, sdp="late", offer_number=number)
        worker.respond = lambda message: [late, *answer_every_offer(message)]
        await client.offer("v=0 second restart")
        assert await client.hear() == {"type": "answer", "sdp": "answer to v=0 second restart"}


async def test_two_clients_hear_only_their_own_events(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as one, gateway.client() as other:
        await one.offer()
        await other.offer()
        for number, client in enumerate((one, other)):
            session, _ = await client.answer()
            event = client_event("status", number, {"status": "listening"})
            worker.tell_gateway(ClientEventSent(session=session, event=event))
            assert await client.hear() == event


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hello", "bad_json"),
        ("", "bad_json"),
        ("[]", "bad_message"),
        ('{"type":"offer","agentId":"echo"}', "bad_message"),
        ('{"type":"offer","sdp":"v=0"}', "bad_message"),
        ('{"type":"ice-candidate","candidate":"candidate:1"}', "candidate_before_offer"),
        ('{"type":"ice-candidate","candidate":5}', "bad_message"),
        (json.dumps({"type": "offer", "sdp": "s" * 32_769, "agentId": "echo"}), "sdp_too_large"),
        (json.dumps({"type": "offer", "sdp": "s" * 66_000, "agentId": "echo"}), "message_too_large"),
        (b'{"type":"bye"}', "bad_message"),
    ],
)
async def test_a_bad_message_is_answered_and_changes_nothing(
    settings: GatewaySettings, text: str | bytes, code: str
) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        await client.websocket.send(text)
        assert await refused(client) == code
        await client.offer()
        session, _ = await client.answer()
        await client.websocket.send("hello")
        assert await refused(client) == "bad_json"
        event = client_event("status", 1, {"status": "listening"})
        worker.tell_gateway(ClientEventSent(session=session, event=event))
        assert await client.hear() == event


async def test_a_message_that_is_far_too_large_closes_the_connection(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        await client.websocket.send("x" * 200_000)
        code, _ = await client.closed()
        assert code == 1009


async def test_an_unknown_type_is_ignored_and_counted(settings: GatewaySettings) -> None:
    unknown = Gained("antiphon_gateway_unknown_messages_total")
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        await client.say(type="hologram", depth=3)
        await client.offer()
        await client.answer()
        assert unknown() == 1


async def test_too_many_candidates(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        await client.offer()
        await client.answer()
        for number in range(5):
            await client.say(type="ice-candidate", candidate=f"candidate:{number}")
        assert await refused(client) == "too_many_candidates"
        await client.say(type="bye")
        assert await client.closed() == (1000, "bye")


async def test_a_client_that_only_sends_nonsense_is_disconnected(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        for _ in range(settings.gateway_max_errors + 1):
            await client.websocket.send("nonsense")
            assert await refused(client) == "bad_json"
        assert await refused(client) == "too_many_errors"
        assert await client.closed() == (1008, "too_many_errors")


async def test_an_unknown_agent_is_answered_with_the_listed_agents(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        await client.offer(agent_id="nobody")
        error = await client.hear()
        assert (error["code"], error["message"]) == ("unknown_agent", "no agent 'nobody'; known agents: echo")
        await client.offer(agent_id="secret")
        await client.answer()


async def test_an_unknown_agent_where_listing_is_off(settings: GatewaySettings) -> None:
    unlisting = settings.model_copy(update={"gateway_list_agents": False})
    async with gateway_with_workers(unlisting) as (gateway, _), gateway.client() as client:
        await client.offer(agent_id="nobody")
        assert (await client.hear())["message"] == "no agent 'nobody'"


async def test_no_offer_in_time(settings: GatewaySettings) -> None:
    hasty = settings.model_copy(update={"gateway_offer_timeout_s": 0.1})
    async with gateway_with_workers(hasty) as (gateway, _), gateway.client() as client:
        assert await refused(client) == "offer_timeout"
        assert await client.closed() == (1008, "offer_timeout")


async def test_no_answer_in_time(settings: GatewaySettings) -> None:
    hasty = settings.model_copy(update={"gateway_answer_timeout_s": 0.1})
    async with gateway_with_workers(hasty) as (gateway, worker), gateway.client() as client:
        worker.respond = nothing
        await client.offer()
        error = await client.hear()
        assert (error["code"], error["retryAfterMs"]) == ("answer_timeout", 5000)
        assert await client.closed() == (1013, "answer_timeout")
        assert (await worker.wait_for(CloseSession)).reason == "answer_timeout"


@pytest.mark.parametrize(("capacity", "slots"), [(0, 10), (10, 0)])
async def test_no_worker_has_room(settings: GatewaySettings, capacity: int, slots: int) -> None:
    async with gateway_with_workers(settings, capacity, slots) as (gateway, _), gateway.client() as client:
        await client.offer()
        error = await client.hear()
        assert (error["code"], error["retryAfterMs"]) == ("no_capacity", 5000)
        assert await client.closed() == (1013, "no_capacity")


async def test_a_media_worker_that_is_full_despite_its_reservation(settings: GatewaySettings, broker: Redis) -> None:
    def refuse(message: Message) -> Sequence[Message]:
        if not isinstance(message, OpenSession):
            return []
        return [OfferRefused(session=message.session, code="no_capacity", message="full", retry_after_ms=700)]

    async with (
        gateway_with_workers(settings) as (gateway, worker),
        FakeMediaWorker(settings.redis_url, "media-2").running() as second,
        gateway.client() as client,
    ):
        worker.respond = refuse
        second.respond = refuse
        await client.offer()
        error = await client.hear()
        assert error["code"] == "no_capacity"
        assert await client.closed() == (1013, "no_capacity")
        # Each that was known at that moment was asked once.
        assert len(worker.received) <= 1
        assert len(second.received) <= 1
        assert len(worker.received) + len(second.received) >= 1
    assert await broker.exists(keys.reservations("media", "media-1")) == 0


async def test_a_bad_offer_may_be_followed_by_a_good_one(settings: GatewaySettings, broker: Redis) -> None:
    def refuse_the_bad(message: Message) -> Sequence[Message]:
        match message:
            case OpenSession(session=session, sdp="bad"):
                return [OfferRefused(session=session, code="bad_sdp", message="no audio in the offer")]
            case OpenSession(session=session):
                return [OfferAnswered(session=session, sdp="v=0 answer")]
        return []

    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        worker.respond = refuse_the_bad
        await client.offer("bad")
        assert await client.hear() == {"type": "error", "code": "bad_sdp", "message": "no audio in the offer"}
        await client.offer("good")
        session, _ = await client.answer()
        assert await broker.zrange(keys.reservations("media", "media-1"), 0, -1) == [session.encode()]


async def test_a_client_that_does_not_read(settings: GatewaySettings) -> None:
    impatient = settings.model_copy(update={"gateway_send_timeout_s": 0.05})
    async with gateway_with_workers(impatient) as (gateway, worker), gateway.client() as client:
        await client.offer()
        session, _ = await client.answer()
        transport = client.websocket.transport
        transport.pause_reading()
        event = client_event("transcript", 1, {"role": "agent", "text": "x" * 60_000})
        for _ in range(400):
            worker.tell_gateway(ClientEventSent(session=session, event=event))
        assert (await worker.wait_for(GatewayDetached)).session == session
        transport.abort()


async def test_calls_go_on_when_their_gateway_stops(settings: GatewaySettings) -> None:
    goaway = {"type": "goaway", "timeLeftMs": 200, "scope": "signaling", "reason": "draining"}
    async with (
        gateway_with_workers(settings) as (gateway, worker),
        gateway.client() as idle,
        gateway.client() as client,
    ):
        await client.offer()
        session, _ = await client.answer()
        gateway.stop.set()
        assert await client.hear() == goaway
        assert await idle.hear() == goaway
        assert await idle.closed() == (1001, "goaway")
        assert await client.closed() == (1001, "goaway")
        async with asyncio.timeout(10):
            await gateway.ended
        assert (await worker.wait_for(GatewayDetached)).session == session
        assert not any(isinstance(message, CloseSession) for message in worker.received)


async def test_a_draining_gateway_accepts_no_clients(settings: GatewaySettings) -> None:
    patient = settings.model_copy(update={"drain_timeout_s": 5})
    async with gateway_with_workers(patient) as (gateway, _), gateway.client() as client:
        await client.offer()
        await client.answer()
        gateway.stop.set()
        assert (await client.hear())["type"] == "goaway"
        async with gateway.client() as late:
            assert (await late.hear())["type"] == "goaway"
            assert await late.closed() == (1001, "goaway")
        await client.say(type="bye")  # and with the last client gone it need not wait
        async with asyncio.timeout(4):
            await gateway.ended


async def test_the_set_up_is_traced_and_a_proxys_traceparent_is_only_a_link(settings: GatewaySettings) -> None:
    theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    count = Gained("antiphon_gateway_setup_seconds_count", stage="answer")
    async with gateway_with_workers(settings) as (gateway, worker):
        with traced() as spans:
            async with gateway.client(traceparent=theirs) as client:
                await client.offer()
                await client.answer()
                await client.offer("v=0 restart")
                assert (await client.hear())["type"] == "answer"
            opening = await worker.wait_for(OpenSession)
    (setup,) = [span for span in spans.all() if span.name == "session_setup"]
    assert f"{id_of(setup):016x}" == opening.traceparent[36:52]
    assert (parent_of(setup), [f"{link.context.span_id:016x}" for link in setup.links]) == (None, [theirs[36:52]])
    assert count() == 1, "an ICE restart is no set-up"


async def test_an_offer_without_a_place_is_a_set_up_that_failed(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings, capacity=0) as (gateway, _):
        with traced() as spans:
            async with gateway.client() as client:
                await client.offer(agent_id="no such agent")
                assert await refused(client) == "unknown_agent"
                await client.offer()
                assert await refused(client) == "no_capacity"
                await client.closed()
    setups = [span for span in spans.all() if span.name == "session_setup"]
    assert [span.status.description for span in setups] == ["unknown_agent", "no_capacity"]


async def test_a_client_that_leaves_before_its_answer_is_a_set_up_that_failed(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker):
        worker.respond = nothing
        with traced() as spans:
            async with gateway.client() as client:
                await client.offer()
                await worker.wait_for(OpenSession)
            await worker.wait_for(CloseSession)
    assert spans.named("session_setup").status.description == "gone"
