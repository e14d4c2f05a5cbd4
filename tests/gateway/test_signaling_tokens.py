"""Signaling at a gateway that lets in nobody without a token."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from gateway.core.api_keys import new_api_key
from gateway.settings import GatewaySettings
from shared import keys
from shared.events import Message, OfferRefused, OpenSession
from shared.io.broker import Redis
from tests.fakes.running_gateway import RunningGateway, SignalingClient, gateway_with_workers, running_gateway

API_KEY, LINE = new_api_key("website", "calls")


@pytest.fixture
def settings(broker: Redis, broker_url: str, tmp_path: Path) -> GatewaySettings:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    (tmp_path / "desk.yaml").write_text("id: desk\nname: Desk\nmode: echo\n")
    (tmp_path / "api-keys").write_text(LINE)
    (tmp_path / "turn-secret").write_text("north")
    return GatewaySettings(
        redis_url=broker_url,
        agents_dir=tmp_path,
        gateway_port=0,
        gateway_access="token",
        gateway_api_keys_file=tmp_path / "api-keys",
        gateway_turn_urls="turn:192.0.2.1",
        gateway_turn_secret_file=tmp_path / "turn-secret",
        gateway_max_errors=4,
        drain_timeout_s=0.2,
    )


async def token_of(gateway: RunningGateway, **request: object) -> str:
    body = request or {"agentId": "echo"}
    async with httpx.AsyncClient(base_url=gateway.url, headers={"authorization": f"Bearer {API_KEY}"}) as http:
        response = await http.post("/api/tokens", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["token"])


async def offer(client: SignalingClient, token: object = None, agent: str = "echo") -> None:
    await client.say(type="offer", sdp="v=0", agentId=agent, token=token)


async def refused(client: SignalingClient, token: object = None, agent: str = "echo") -> str:
    await offer(client, token, agent)
    error = await client.hear()
    assert error["type"] == "error", error
    return str(error["code"])


async def test_a_call_with_a_token(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        await offer(client, await token_of(gateway))
        session = await client.hear()
        (turn,) = session["iceServers"]
        assert turn["username"].endswith(f":{session['sessionId']}")
        assert (await client.hear())["type"] == "answer"
        await client.offer("v=0 restart")
        assert await client.hear() == {"type": "answer", "sdp": "answer to v=0 restart"}, "it needs no token again"


async def test_a_caller_without_a_good_token_may_try_again(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        assert await refused(client) == "token_required"
        assert await refused(client, "guess") == "token_invalid"
        assert await refused(client, 5) == "bad_message"
        token = await token_of(gateway)
        assert await refused(client, token, "desk") == "agent_not_granted"
        await offer(client, token)
        await client.answer()
        assert len([message for message in worker.received if isinstance(message, OpenSession)]) == 1


async def test_a_caller_who_keeps_trying_tokens_is_disconnected(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        for number in range(5):
            assert await refused(client, f"guess {number}") == "token_invalid"
        assert (await client.hear())["code"] == "too_many_errors"
        assert await client.closed() == (1008, "too_many_errors")


async def test_a_token_opens_one_session_at_all_gateways(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), running_gateway(settings) as other:
        token = await token_of(gateway)
        async with other.client() as client:
            await offer(client, token)
            await client.answer()
        async with gateway.client() as again:
            assert await refused(again, token) == "token_used"


async def test_unknown_agents_are_told_only_to_callers_with_a_token(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, _), gateway.client() as client:
        assert await refused(client, agent="no-such-agent") == "token_required"
        assert await refused(client, await token_of(gateway, agents="all"), "no-such-agent") == "unknown_agent"


async def test_a_refused_placement_gives_the_token_back(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings, capacity=0) as (gateway, _):
        token = await token_of(gateway)
        for _ in range(2):
            async with gateway.client() as client:
                assert await refused(client, token) == "no_capacity"
                assert await client.closed() == (1013, "no_capacity")


async def test_an_offer_that_cannot_be_answered_uses_no_token(settings: GatewaySettings, broker: Redis) -> None:
    def refuse(message: Message) -> Sequence[Message]:
        if isinstance(message, OpenSession):
            return [OfferRefused(session=message.session, code="bad_sdp", message="no audio")]
        return []

    async with gateway_with_workers(settings) as (gateway, worker):
        answering, worker.respond = worker.respond, refuse
        first, second = await token_of(gateway), await token_of(gateway)
        async with gateway.client() as client:
            assert await refused(client, first) == "bad_sdp"
            assert await refused(client, first) == "bad_sdp"
            assert await refused(client, second) == "bad_sdp"
            assert len(await broker.keys(f"{keys.token('')}*")) == 1, "only the last is held"
            await client.say(type="bye")
            await client.closed()
        worker.respond = answering
        for token in (first, second):
            async with gateway.client() as client:
                await offer(client, token)
                await client.answer()


async def test_a_caller_who_leaves_before_the_answer_may_use_the_token_again(
    settings: GatewaySettings, broker: Redis
) -> None:
    async with gateway_with_workers(settings) as (gateway, worker):
        answering, worker.respond = worker.respond, lambda _: []
        token = await token_of(gateway)
        async with gateway.client() as client:
            await offer(client, token)
            await worker.wait_for(OpenSession)
        async with asyncio.timeout(5):
            while await broker.keys(f"{keys.token('')}*"):  # noqa: ASYNC110 (keys have no event)
                await asyncio.sleep(0.01)
        worker.respond = answering
        async with gateway.client() as client:
            await offer(client, token)
            await client.answer()


async def test_an_open_gateway_reads_no_tokens(settings: GatewaySettings) -> None:
    open_ = settings.model_copy(update={"gateway_access": "open"})
    async with gateway_with_workers(open_) as (gateway, _), gateway.client() as client:
        await offer(client, "anything")
        await client.answer()


async def test_an_api_key_has_as_many_sessions_at_once_as_it_may(settings: GatewaySettings, broker: Redis) -> None:
    (settings.agents_dir / "api-keys").write_text(f"{LINE} sessions_at_once=1")
    counter = keys.counter("key", "website")
    async with (
        gateway_with_workers(settings) as (gateway, worker),
        gateway.client() as first,
        gateway.client() as second,
    ):
        await offer(first, await token_of(gateway))
        session, _ = await first.answer()
        opening = await worker.wait_for(OpenSession)
        assert (opening.api_key, opening.counted_in) == ("website", (counter,))
        token = await token_of(gateway)
        await offer(second, token)
        error = await second.hear()
        assert (error["code"], error["retryAfterMs"]) == ("too_many_sessions", 5000)
        assert await second.closed() == (1013, "too_many_sessions")
        assert await broker.zrange(counter, 0, -1) == [session.encode()]
        assert await broker.zcard(keys.reservations("media", worker.worker_id)) == 1, "the other place is free again"
        await broker.zrem(counter, session)  # as its media worker does at its end
        async with gateway.client() as third:
            await offer(third, token)
            await third.answer()


async def test_an_agent_has_as_many_sessions_at_once_as_it_may_over_all_gateways(settings: GatewaySettings) -> None:
    (settings.agents_dir / "desk.yaml").write_text("id: desk\nname: Desk\nmode: echo\nlimits: {max_sessions: 1}\n")
    async with (
        gateway_with_workers(settings) as (gateway, _),
        running_gateway(settings) as other,
        gateway.client() as first,
        other.client() as second,
    ):
        token = await token_of(gateway, agents=["desk", "echo"])
        await offer(first, await token_of(gateway, agents="all"), "desk")
        await first.answer()
        assert await refused(second, token, "desk") == "too_many_sessions"
        async with gateway.client() as third:
            await offer(third, token, "echo")
            await third.answer()


async def test_an_offer_that_was_refused_does_not_count(settings: GatewaySettings, broker: Redis) -> None:
    (settings.agents_dir / "api-keys").write_text(f"{LINE} sessions_at_once=1")
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        worker.respond = lambda message: [OfferRefused(session=message.session, code="bad_sdp", message="no audio")]
        assert await refused(client, await token_of(gateway)) == "bad_sdp"
        assert await broker.zcard(keys.counter("key", "website")) == 0
