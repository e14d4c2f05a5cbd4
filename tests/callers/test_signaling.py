import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import websockets

from callers.signaling import Event, NotConnected, Signaling


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
