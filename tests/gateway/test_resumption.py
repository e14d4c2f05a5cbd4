"""Clients that come back, through running gateways and a real broker."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from shared.events import (
    ClientEventSent,
    CloseSession,
    GatewayAttached,
    Message,
    OfferAnswered,
    OpenSession,
    SessionClosed,
    client_event,
)
from shared.io.broker import Redis
from tests.fakes.media_worker import FakeMediaWorker, answer_every_offer
from tests.fakes.running_gateway import SignalingClient, gateway_with_workers, running_gateway

GOAWAY = {"type": "goaway", "timeLeftMs": 0, "scope": "media", "reason": "media_worker_lost"}


@pytest.fixture
def settings(broker: Redis, broker_url: str, tmp_path: Path) -> GatewaySettings:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    return GatewaySettings(redis_url=broker_url, agents_dir=tmp_path, gateway_port=0, drain_timeout_s=0.2)


async def call(client: SignalingClient, worker: FakeMediaWorker) -> str:
    await client.offer()
    session, _ = await client.answer()
    await worker.connect_caller(session)
    return session


async def resume(client: SignalingClient, token: str, last_seq: int = 0) -> dict[str, object]:
    await client.say(type="resume", resumeToken=token, lastSeq=last_seq)
    return await client.hear()


async def move(client: SignalingClient, token: str, last_seq: int = 0) -> None:
    await client.say(type="offer", sdp="v=0 moved", agentId="echo", resumeToken=token, lastSeq=last_seq)


async def test_a_websocket_that_was_cut_comes_back_through_another_gateway_and_misses_nothing(
    settings: GatewaySettings,
) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), running_gateway(settings) as other:
        async with gateway.client() as client:
            session = await call(client, worker)
            first = await worker.publish(session, 1, "heard")
            assert await client.hear() == first
        missed = [await worker.publish(session, seq, "missed") for seq in (2, 3)]
        async with other.client() as client_again:
            resumed = await resume(client_again, client.resume_token, last_seq=1)
            assert (resumed["type"], resumed["sessionId"]) == ("resumed", session)
            assert resumed["resumeToken"] != client.resume_token
            await worker.wait_for(GatewayAttached)
            later = await worker.publish(session, 4, "later")
            assert [await client_again.hear() for _ in range(3)] == [*missed, later]
            await client_again.say(type="bye")
            assert await client_again.closed() == (1000, "bye")
        assert await worker.wait_for(CloseSession) == CloseSession(session=session, reason="hangup")


async def test_a_token_is_rotated_and_the_one_before_still_counts(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker):
        async with gateway.client() as client:
            await call(client, worker)
        tokens = [client.resume_token]
        for _ in range(2):
            async with gateway.client() as again:
                tokens.append(str((await resume(again, tokens[-1]))["resumeToken"]))
                await worker.wait_for(GatewayAttached)
                worker.received.clear()
        async with gateway.client() as again:
            assert (await resume(again, tokens[1]))["type"] == "resumed"


async def test_a_client_whose_gateway_drained_while_its_media_connected_was_refused(settings: GatewaySettings) -> None:
    async with (
        gateway_with_workers(settings) as (gateway, worker),
        running_gateway(settings) as other,
        gateway.client() as client,
        other.client() as again,
    ):
        await client.offer()
        session, _ = await client.answer()
        await again.say(type="resume", resumeToken=client.resume_token, lastSeq=0)
        await asyncio.sleep(0.05)
        await worker.connect_caller(session)
        assert (await again.hear())["type"] == "resumed"


async def test_a_stolen_old_token_was_only_refused(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        session = await call(client, worker)
        stolen = token = client.resume_token
        for _ in range(2):
            async with gateway.client() as again:
                token = str((await resume(again, token))["resumeToken"])
                await worker.wait_for(GatewayAttached)
                worker.received.clear()
        async with gateway.client() as thief:
            assert (await resume(thief, stolen))["code"] == "resume_token_reused"
        assert await worker.wait_for(CloseSession) == CloseSession(session=session, reason="resume_token_reused")


async def test_a_refused_token_may_be_followed_by_a_new_offer(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker):
        async with gateway.client() as client:
            session = await call(client, worker)
        async with gateway.client() as stranger:
            unknown = await resume(stranger, f"unknown.{'x' * 66}")
            wrong = await resume(stranger, f"{session}.{'x' * 66}")
            assert unknown == wrong, "a stranger does not learn which sessions there are"
            assert wrong["code"] == "resume_refused"
            await stranger.offer()
            new_session, _ = await stranger.answer()
            assert new_session != session


async def test_the_newest_connection_has_the_session(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as old, gateway.client() as new:
        session = await call(old, worker)
        assert (await resume(new, old.resume_token))["type"] == "resumed"
        assert await old.closed() == (1000, "replaced")
        event = client_event("status", 1, {"status": "listening"})
        worker.tell_gateway(ClientEventSent(session=session, event=event))
        assert await new.hear() == event


async def test_a_media_worker_that_was_killed_loses_no_session(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        session = await call(client, worker)
        seen, missed = [await worker.publish(session, seq, "said") for seq in (1, 2)]
        assert [await client.hear(), await client.hear()] == [seen, missed]
        async with FakeMediaWorker(settings.redis_url, "media-2").running() as other:
            worker.die()
            assert await client.hear() == GOAWAY
            await move(client, client.resume_token, last_seq=1)
            assert await client.answer() == (session, "answer to v=0 moved")
            assert await client.hear() == missed
            opening = await other.wait_for(OpenSession)
            assert opening.session == session
            assert opening.resume is not None
            assert (opening.resume.generation, opening.resume.media_worker) == (2, worker.worker_id)
            assert (opening.resume.seq, opening.resume.published) == (2, 2)
            event = client_event("status", 3, {"status": "listening"})
            other.tell_gateway(ClientEventSent(session=session, event=event))
            assert await client.hear() == event


async def test_a_flood_of_offers_of_one_session_is_refused_for_all_its_connections(
    settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New sessions had a limit per address. Moves, which cost as much, had none."""
    monkeypatch.setattr("gateway.admission.MOVES_PER_MINUTE", 2)
    async with gateway_with_workers(settings) as (gateway, worker):
        async with gateway.client() as client:
            await call(client, worker)
        for _ in range(2):
            async with gateway.client() as again:
                await move(again, client.resume_token)
                await again.answer()
        async with gateway.client() as again:
            await move(again, client.resume_token)
            assert (await again.hear())["code"] == "too_many_moves"


async def test_a_reloaded_page_goes_on_with_the_same_media_worker(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as old, gateway.client() as new:
        session = await call(old, worker)
        event = await worker.publish(session, 1, "said before")
        await move(new, old.resume_token)
        assert await new.answer() == (session, "answer to v=0 moved")
        assert await new.hear() == event
        worker.tell_gateway(SessionClosed(session=session, reason="moved"))  # the end of the old peer connection
        event = await worker.publish(session, 2, "said after")
        assert await new.hear() == event


async def test_offers_waited_ten_seconds_for_a_dead_media_worker_beside_an_idle_one(settings: GatewaySettings) -> None:
    def silence(_: Message) -> Sequence[Message]:
        return []

    clock = asyncio.get_running_loop().time
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        worker.respond = silence
        await client.offer()
        await worker.wait_for(OpenSession)
        async with FakeMediaWorker(settings.redis_url, "media-2").running():
            began_s = clock()
            session, _ = await client.answer()
            assert clock() - began_s < 3
            abandoned = await worker.wait_for(CloseSession)
            assert abandoned.session != session
            late = OfferAnswered(session=abandoned.session, sdp="late")
            worker.tell_gateway(late)
            async with gateway.client() as next_client:  # which is not sent to the silent one
                began_s = clock()
                worker.respond = answer_every_offer
                await next_client.offer()
                await next_client.answer()
                assert clock() - began_s < 1
            await client.say(type="bye")
            assert await client.closed() == (1000, "bye")


async def test_a_gateway_that_stops_hands_its_clients_over(settings: GatewaySettings) -> None:
    patient = settings.model_copy(update={"drain_timeout_s": 5})
    async with (
        gateway_with_workers(patient) as (gateway, worker),
        running_gateway(settings) as other,
        gateway.client() as client,
        other.client() as client_there,
    ):
        session = await call(client, worker)
        gateway.stop.set()
        assert (await client.hear())["scope"] == "signaling"
        assert (await resume(client_there, client.resume_token))["type"] == "resumed"
        await client.websocket.close()
        async with asyncio.timeout(4):
            await gateway.ended
        event = await worker.publish(session, 1, "still here")
        assert await client_there.hear() == event
