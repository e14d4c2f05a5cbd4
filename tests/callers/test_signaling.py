import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import websockets

from callers.signaling import Event, NotConnected, Signaling
from tests.fakes.patience import eventually


@asynccontextmanager
async def server(*replies: Event) -> AsyncIterator[tuple[str, list[Event]]]:
    """Answers an offer with `replies`, and closes. Yields its URL and what it received."""
    received: list[Event] = []

    async def serve(connection: websockets.ServerConnection) -> None:
        received.append(json.loads(await connection.recv()))
        for reply in replies:
            await connection.send(json.dumps(reply))

    async with websockets.serve(serve, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}", received


async def test_an_offer_is_exchanged_for_an_answer_and_all_events_are_passed_on() -> None:
    events: list[Event] = []
    async with server({"type": "session"}, {"type": "answer", "sdp": "theirs"}) as (url, received):
        signaling = Signaling(url, "desk", events.append)
        assert await signaling.exchange("ours") == "theirs"
        await signaling.close()
    assert received == [{"type": "offer", "sdp": "ours", "agentId": "desk"}]
    assert [event["type"] for event in events] == ["session", "answer"]


async def test_a_refusal_has_the_servers_code_and_the_time_to_wait() -> None:
    async with server({"type": "error", "code": "no_capacity", "message": "full", "retryAfterMs": 300}) as (url, _):
        signaling = Signaling(url, "desk", lambda _: None)
        with pytest.raises(NotConnected, match="refused: full") as refused:
            await signaling.exchange("ours")
        await signaling.close()
    assert (refused.value.code, refused.value.retry_after_ms) == ("no_capacity", 300)


async def test_a_server_that_closes_without_an_answer_is_no_call() -> None:
    async with server() as (url, _):
        signaling = Signaling(url, "desk", lambda _: None)
        with pytest.raises(NotConnected, match="without an answer"):
            await signaling.exchange("ours")
        await signaling.close()


class Gateways:
    """Two gateways of one session: what each received, and a socket at each that can be used to speak."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.received: list[tuple[int, Event]] = []
        self.sockets: dict[int, websockets.ServerConnection] = {}
        self.refusal: Event | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gateways"]:
        async with AsyncExitStack() as stack:
            for number in range(2):
                serve = functools.partial(self._serve, number)
                server = await stack.enter_async_context(websockets.serve(serve, "127.0.0.1", 0))
                self.urls.append(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            yield self

    async def say(self, number: int, **event: Any) -> None:
        await self.sockets[number].send(json.dumps(event))

    async def _serve(self, number: int, socket: websockets.ServerConnection) -> None:
        self.sockets[number] = socket
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in socket:
                message = json.loads(text)
                self.received.append((number, message))
                if message["type"] == "offer":
                    await self.say(number, type="session", sessionId="s", resumeToken=f"s.{len(self.received)}")
                    await self.say(number, type="answer", sdp="theirs")
                elif self.refusal:
                    await self.say(number, **self.refusal)
                else:
                    await self.say(number, type="transcript", seq=message["lastSeq"] + 1)
                    await self.say(number, type="resumed", sessionId="s", resumeToken=f"s.{len(self.received)}")


@pytest.fixture
async def gateways() -> AsyncIterator[Gateways]:
    async with Gateways().running() as running:
        yield running


@pytest.fixture
async def caller(gateways: Gateways) -> AsyncIterator[Signaling]:
    """A caller who comes back, in a session at the first gateway."""
    signaling = Signaling(gateways.urls[0], "desk", lambda _: None, gateways.urls)
    await signaling.exchange("ours")
    yield signaling
    await signaling.close()


async def test_a_caller_whose_socket_was_cut_comes_back_at_another_gateway_and_gets_what_it_missed(
    gateways: Gateways, caller: Signaling
) -> None:
    caller.saw({"type": "status", "seq": 7})
    caller.saw({"type": "status", "seq": 6})
    caller.cut()
    await eventually(lambda: caller.url == gateways.urls[1])
    caller.cut()
    await eventually(lambda: caller.url == gateways.urls[0])
    assert gateways.received[1:] == [
        (1, {"type": "resume", "resumeToken": "s.1", "lastSeq": 7}),
        (0, {"type": "resume", "resumeToken": "s.2", "lastSeq": 8}),
    ]


async def test_a_gateway_that_goes_away_is_left_once_another_has_the_session(
    gateways: Gateways, caller: Signaling
) -> None:
    await gateways.say(0, type="goaway", scope="signaling", timeLeftMs=5_000)
    await eventually(lambda: caller.url == gateways.urls[1])
    async with asyncio.timeout(5):
        await gateways.sockets[0].wait_closed()
    assert await caller.exchange("another") == "theirs"
    offer = {"type": "offer", "sdp": "another", "agentId": "desk", "resumeToken": "s.2", "lastSeq": 1}
    assert gateways.received[-1] == (1, offer)


async def test_a_move_that_waited_for_another_websocket_shows_the_token_that_it_brought(
    gateways: Gateways, caller: Signaling
) -> None:
    """With the one from before, it was taken for a thief: gateway, media worker and broker had left at once."""
    gateways.refusal = {"type": "error", "code": "broker_unavailable", "message": "away"}
    caller.cut()
    await eventually(lambda: len(gateways.received) == 2)
    moving = asyncio.create_task(caller.exchange("another"))
    await asyncio.sleep(0)
    gateways.refusal = None
    assert await moving == "theirs"
    *_, resume, offer = [message for _, message in gateways.received]
    assert (resume["type"], resume["resumeToken"]) == ("resume", "s.1")
    assert offer["resumeToken"] == f"s.{len(gateways.received) - 1}"


async def test_a_caller_whose_token_is_refused_has_lost_the_session(gateways: Gateways, caller: Signaling) -> None:
    gateways.refusal = {"type": "error", "code": "resume_refused", "message": "unknown"}
    caller.cut()
    await eventually(lambda: caller.lost is not None)
    with pytest.raises(NotConnected, match="refused: unknown"):
        await caller.exchange("another")


async def test_a_gateway_that_cannot_take_the_session_up_is_asked_again(gateways: Gateways, caller: Signaling) -> None:
    gateways.refusal = {"type": "error", "code": "broker_unavailable", "message": "away"}
    caller.cut()
    await eventually(lambda: len(gateways.received) == 3)
    gateways.refusal = None
    await eventually(lambda: gateways.received[-1][1]["resumeToken"] == "s.1" and len(gateways.received) == 4)
    assert caller.lost is None


async def test_the_plain_client_does_not_come_back(gateways: Gateways) -> None:
    plain = Signaling(gateways.urls[0], "desk", lambda _: None)
    await plain.exchange("ours")
    await plain.exchange("again")
    plain.cut()
    await eventually(lambda: plain._task is not None and plain._task.done())
    await plain.close()
    assert [message for _, message in gateways.received] == [
        {"type": "offer", "sdp": sdp, "agentId": "desk"} for sdp in ("ours", "again")
    ]
