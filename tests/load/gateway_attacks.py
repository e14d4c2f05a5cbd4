"""Attacks on the gateway's port: connections, headers, requests and offers in numbers."""

import asyncio

import websockets

from tests.load.attacker import ADDRESS, Outcome, Target

REFUSALS = (OSError, websockets.WebSocketException)
_MANY = [f"127.0.1.{number}" for number in range(1, 41)]
"""Addresses of an attacker who has many, each of them below every limit of one address."""


async def silent_connections(target: Target, outcome: Outcome) -> None:
    """Row 6: they made the gateway refuse everybody, and it did not recover."""
    await _connect_in_silence(target, outcome, [ADDRESS])


async def silent_connections_from_many_addresses(target: Target, outcome: Outcome) -> None:
    """As many as the gateway takes in all. Its probes were refused too, so that it would have been restarted."""
    await _connect_in_silence(target, outcome, _MANY)


async def _connect_in_silence(target: Target, outcome: Outcome, addresses: list[str]) -> None:
    opened = []
    for number in range(2_000):
        try:
            opened.append(await target.tcp(addresses[number % len(addresses)]))
        except OSError:
            outcome.answered("reset")
        outcome.sent += 1
    await asyncio.sleep(7.0)
    for reader, writer in opened:
        ended = reader.at_eof() or reader.exception() is not None or await _has_ended(reader)
        outcome.answered("closed" if ended else "still open")
        writer.close()


async def _has_ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.05):
            while await reader.read(4_096):
                pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


async def slow_headers(target: Target, outcome: Outcome) -> None:
    async def drip() -> None:
        try:
            reader, writer = await target.tcp()
            writer.write(b"GET / HTTP/1.1\r\n")
            for number in range(30):
                writer.write(b"x-%d: y\r\n" % number)
                await writer.drain()
                outcome.sent += 1
                await asyncio.sleep(0.4)
                if reader.at_eof():
                    break
            outcome.answered("closed" if reader.at_eof() else "still open")
            writer.close()
        except OSError:
            outcome.answered("closed")

    await asyncio.gather(*(drip() for _ in range(200)))


async def offers_without_media(target: Target, outcome: Outcome) -> None:
    """Row 5: 20 of them filled all pipeline slots."""

    async def offer() -> None:
        outcome.sent += 1
        try:
            async with target.client() as client:
                outcome.answered(await client.ask(target.offer(), "answer"))
                await asyncio.sleep(3.0)
        except REFUSALS as error:
            outcome.answered(type(error).__name__)

    for _ in range(5):
        await asyncio.gather(*(offer() for _ in range(200)))


async def offers_at_once(target: Target, outcome: Outcome) -> None:
    """500, from 25 addresses."""

    async def offer(address: str) -> None:
        outcome.sent += 1
        try:
            async with target.client(address) as client:
                outcome.answered(await client.ask(target.offer(), "answer"))
                await asyncio.sleep(1.0)
        except REFUSALS as error:
            outcome.answered(type(error).__name__)

    await asyncio.gather(*(offer(_MANY[number % 25]) for number in range(500)))


async def strange_pages(target: Target, outcome: Outcome) -> None:
    """Row 7: any website could open a call on a developer's server."""
    for origin, host in ((f"https://{n}.example", None) for n in range(100)):
        outcome.sent += 1
        try:
            async with target.client(origin=origin, additional_headers=host):
                outcome.answered("admitted")
        except websockets.InvalidStatus as refused:
            outcome.answered(str(refused.response.status_code))
    for _ in range(100):
        outcome.sent += 1
        outcome.answered(await target.http(b"GET / HTTP/1.1\r\nhost: rebound.example\r\n\r\n"))
