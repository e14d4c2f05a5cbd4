"""The attacks of `python -m tests.load hostile`: those that issue 10 found to work, and others."""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import websockets

from tests.integration.hostile_datagrams import (
    SCTP_CHUNKS,
    check,
    junk,
    misuse,
    null_cipher_hello,
    received,
    sockets,
)
from tests.load.attacker import ROGUE_AGENTS, Outcome, Target, attribute, media_address, word, wrong_token
from tests.load.gateway_attacks import (
    REFUSALS,
    offers_at_once,
    offers_without_media,
    silent_connections,
    silent_connections_from_many_addresses,
    slow_headers,
    strange_pages,
)

_FLOOD_S = 4.0


class Attack(NamedTuple):
    unit: str
    run: Callable[[Target, Outcome], Awaitable[None]]


async def rogue_model(target: Target, outcome: Outcome) -> None:
    """Rows 20 and 23: escape sequences in a tool's name, and 32 kB that make a pattern of its schema backtrack."""
    for agent_id in ROGUE_AGENTS:
        async with target.caller(channel=True, agent_id=agent_id) as (caller, client, _):
            assert caller._channel is not None
            for number in range(3):
                caller._channel.send(f'{{"type": "text", "text": "book number {number}"}}')
                outcome.sent += 1
                reply = await client.reply("tool-result")
                outcome.answered(f"tool {'used' if reply.get('ok') else 'refused'}" if "ok" in reply else word(reply))
                await asyncio.sleep(0.5)


async def hasty_audio(target: Target, outcome: Outcome) -> None:
    """Row 8: 47 times real time reached the recogniser."""
    packet = bytes([9 << 3 | 3, 6]) + 6 * b"speech"  # six frames of 20 ms
    async with target.caller() as (caller, _, _):
        for number in range(round(_FLOOD_S * 390)):
            caller.send(packet, number * 5_760)
            outcome.sent += 1
            await asyncio.sleep(1 / 600)
        outcome.answered(f"{len(caller.received)} echoes")


async def unknown_messages(target: Target, outcome: Outcome) -> None:
    """Row 16: they took a core of the gateway."""
    message = '{"type":"unknown","filler":"' + 30_000 * "x" + '"}'
    until_s = time.monotonic() + _FLOOD_S
    while time.monotonic() < until_s:
        async with target.client() as client:
            try:
                while time.monotonic() < until_s:
                    await client.send(message)
                    outcome.sent += 1
            except websockets.ConnectionClosed as closed:
                outcome.answered(f"close {closed.rcvd.code if closed.rcvd else 1006}")


async def pretended_server_messages(target: Target, outcome: Outcome) -> None:
    async with target.client() as client:
        outcome.answered(await client.ask(target.offer(), "answer"))
        for kind in ("goaway", "session-closed", "close-session", "gateway-attached", "answer", "resumed"):
            for _ in range(10):
                await client.send({"type": kind, "scope": "media", "timeLeftMs": 0, "session": "x", "epoch": 9})
                outcome.sent += 1
        outcome.answered(await client.ask("{}", "goaway"))


async def valid_checks(target: Target, outcome: Outcome) -> None:
    """Row 21: answers were longer than checks, and checks had no rate."""
    async with target.caller() as (_, _, answer):
        ufrag, password, address = attribute(answer, "ice-ufrag"), attribute(answer, "ice-pwd"), media_address(answer)
        bytes_out = bytes_in = 0
        with sockets(1) as (flooder,):
            until_s = time.monotonic() + _FLOOD_S
            while time.monotonic() < until_s:
                for _ in range(4):
                    request = check(ufrag, password, nominates=False)
                    flooder.sendto(request, address)
                    bytes_out += len(request)
                    outcome.sent += 1
                bytes_in += sum(map(len, received(flooder)))
                await asyncio.sleep(0.001)
        outcome.answered(f"{bytes_in / bytes_out:.2f} bytes a byte,")


async def guessed_passwords(target: Target, outcome: Outcome) -> None:
    async with target.caller() as (_, _, answer):
        with sockets(100) as strangers:
            for _ in range(40):
                for stranger in strangers:
                    stranger.sendto(check(attribute(answer, "ice-ufrag"), "guessed" * 4), media_address(answer))
                    outcome.sent += 1
                await asyncio.sleep(0.02)
            outcome.answered(f"{sum(len(received(stranger)) for stranger in strangers)} answers,")


async def moved_audio(target: Target, outcome: Outcome) -> None:
    """Row 21: whoever knew the password could send the audio to any address, here before the caller's first packet."""
    async with target.caller() as (caller, _, answer):
        with sockets(1) as (thief,):
            stolen = 0
            for number in range(150):
                if number % 5 == 0:
                    request = check(attribute(answer, "ice-ufrag"), attribute(answer, "ice-pwd"))
                    thief.sendto(request, media_address(answer))
                    outcome.sent += 1
                caller.send(b"\xf8\xff\xfe", number * 960)
                stolen += sum(127 < datagram[0] < 192 for datagram in received(thief))
                await asyncio.sleep(0.02)
            outcome.answered(f"{stolen} packets of audio,")


async def strange_datagrams(target: Target, outcome: Outcome) -> None:
    """Hellos that offer the null cipher, and junk, from an address without a session and from a caller's own."""
    async with target.caller() as (caller, _, answer):
        transport, address = caller._pair.protocol.transport, media_address(answer)
        with sockets(1) as (stranger,):
            until_s = time.monotonic() + _FLOOD_S
            while time.monotonic() < until_s:
                for number in range(8):
                    datagram = null_cipher_hello() if number % 2 else junk(number)
                    stranger.sendto(datagram, address)
                    transport.sendto(datagram, address)
                    outcome.sent += 2
                await asyncio.sleep(0.001)
            outcome.answered(f"{len(received(stranger))} answers,")


async def forged_sources(target: Target, outcome: Outcome) -> None:
    """RTP with other SSRCs: unencrypted, and with the caller's own keys."""
    async with target.caller() as (caller, _, answer):
        transport, address = caller._pair.protocol.transport, media_address(answer)
        until_s = time.monotonic() + _FLOOD_S
        number = 0
        while time.monotonic() < until_s:
            for _ in range(4):
                number += 1
                transport.sendto(b"\x80\x6f" + secrets.token_bytes(60), address)
                caller._ssrc = secrets.randbits(32)
                caller.send(b"\xf8\xff\xfe", number * 960)
                outcome.sent += 2
            await asyncio.sleep(0.001)
        outcome.answered(f"{len(caller.received)} echoes")


async def data_channel(target: Target, outcome: Outcome) -> None:
    for attack in ("a hole", "no length", "a million acknowledged", "many channels", "a flood", "long texts"):
        async with target.caller(channel=True) as (caller, _, _):
            sctp = caller._pc.sctp
            assert sctp is not None and caller._channel is not None
            for number in range(400):
                if caller._channel.readyState != "open":
                    outcome.answered("session ended")
                    break
                if attack == "many channels":
                    caller._pc.createDataChannel("another")
                elif attack == "a flood":
                    for _ in range(SCTP_CHUNKS):
                        caller._channel.send('{"type": "interrupt"}')
                elif attack == "long texts":
                    caller._channel.send('{"type": "text", "text": "' + 60_000 * "x" + '"}')
                else:
                    await sctp.transport._send_data(misuse(attack, sctp, number))
                outcome.sent += 1
                await asyncio.sleep(0.002)
            else:
                outcome.answered("nothing")


async def oversized(target: Target, outcome: Outcome) -> None:
    section = "m=audio" + target.sdp.partition("m=audio")[2]
    candidates = 300 * "a=candidate:1 1 udp 2130706431 10.0.0.1 9 typ host\r\n"
    too_much = (
        "x" * 1_000_000,
        "[" * 60_000,
        '{"type":"offer","sdp":"' + 60_000 * "x" + '","agentId":"echo"}',
        target.offer(sdp=target.sdp + 49 * section),
        target.offer(sdp=target.sdp + candidates),
        target.offer(agentId="x" * 30_000),
        target.offer(token="x" * 60_000),
        target.offer(resumeToken="x" * 60_000),
        {"type": "ice-candidate", "candidate": {"candidate": "x" * 60_000}},
    )
    for message in too_much:
        for _ in range(5):
            async with target.client() as client:
                outcome.answered(await client.ask(message, "answer"))
            outcome.sent += 1
    for request in (
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + 200_000 * b"y" + b"\r\n\r\n",
        b"GET /" + 100_000 * b"y" + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /api/tokens HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\n" + 100_000 * b"y",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n" + 2_000 * b"a: b\r\n" + b"\r\n",
    ):
        for _ in range(10):
            outcome.answered(await target.http(request))
            outcome.sent += 1


async def http_guesses(target: Target, outcome: Outcome) -> None:
    """API keys, and what must not be on the public port (row 22)."""
    for number in range(300):
        key = f"Authorization: Bearer antiphon_{secrets.token_urlsafe(32)}\r\n".encode()
        request = b"POST /api/tokens HTTP/1.1\r\nhost: localhost\r\n%scontent-length: 2\r\n\r\n{}" % key
        if number % 10 == 0:
            request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"
        outcome.answered(await target.http(request))
        outcome.sent += 1


async def guessed_resume_tokens(target: Target, outcome: Outcome) -> None:
    """Of a session whose name is known."""
    async with target.caller() as (_, owner, _):
        session = owner.resume_token.partition(".")[0]

        async def guess() -> None:
            async with target.client() as client:
                for _ in range(30):
                    message = {"type": "resume", "resumeToken": wrong_token(session)}
                    answer = await client.ask(message, "resumed")
                    outcome.answered(answer)
                    outcome.sent += 1
                    if answer.startswith("close"):
                        return

        for _ in range(6):
            await asyncio.gather(*(guess() for _ in range(10)))


async def replayed_resume_tokens(target: Target, outcome: Outcome) -> None:
    """The token before the last one ends the session; whoever has the last one has it, from any address."""
    async with target.caller() as (_, owner, _):
        tokens = [owner.resume_token]
        for _ in range(4):
            async with target.client() as client:
                await client.ask({"type": "resume", "resumeToken": tokens[-1]}, "resumed")
                outcome.sent += 1
                tokens.append(client.resume_token)
                await asyncio.sleep(0.3)
        for token in 10 * tokens[:-2]:
            async with target.client() as client:
                outcome.answered(await client.ask({"type": "resume", "resumeToken": token}, "resumed"))
                outcome.sent += 1


async def moving_offers(target: Target, outcome: Outcome) -> None:
    """One session's token on many connections: each offer made a peer connection, under no limit of the address."""
    async with target.caller() as (_, owner, _):

        async def move(token: str) -> None:
            async with target.client() as client:
                for _ in range(20):
                    answer = await client.ask(target.offer(resumeToken=token), "answer")
                    outcome.answered(answer)
                    outcome.sent += 1
                    if answer.startswith("close"):
                        return
                    token = client.resume_token or token

        try:
            await asyncio.gather(*(move(owner.resume_token) for _ in range(20)))
        except REFUSALS as error:
            outcome.answered(type(error).__name__)


async def sessions_after_their_end(target: Target, outcome: Outcome) -> None:
    """A goodbye, and at once an offer with the session's token."""
    for _ in range(10):
        async with target.caller() as (_, owner, _), target.client() as other:
            token = owner.resume_token
            await owner.send({"type": "bye"})
            outcome.answered(await other.ask(target.offer(resumeToken=token), "answer"))
            outcome.sent += 1
            await asyncio.sleep(0.1)


async def odd_sdp(target: Target, outcome: Outcome) -> None:
    lines = target.sdp.split("\r\n")
    async with target.client() as client:
        for number in range(18):
            at = number * len(lines) // 18
            sdp = "\r\n".join([*lines[:at], re.sub(r"\d", "9" * 40, lines[at]), "a=" + "\x1b[2J", *lines[at + 1 :]])
            answer = await client.ask(target.offer(sdp=sdp), "answer")
            outcome.answered(answer)
            outcome.sent += 1
            if answer.startswith("close") or answer == "answer":
                return


ATTACKS = {
    "silent connections (6)": Attack("connections", silent_connections),
    "silent connections, 40 addresses (6)": Attack("connections", silent_connections_from_many_addresses),
    "slow headers": Attack("header lines", slow_headers),
    "offers without media (5)": Attack("offers", offers_without_media),
    "500 offers at once": Attack("offers", offers_at_once),
    "rogue language model (20, 23)": Attack("texts", rogue_model),
    "pages of strangers (7)": Attack("requests", strange_pages),
    "audio 47 times too fast (8)": Attack("packets", hasty_audio),
    "unknown messages (16)": Attack("messages", unknown_messages),
    "pretended server messages": Attack("messages", pretended_server_messages),
    "valid checks (21)": Attack("packets", valid_checks),
    "guessed ICE passwords": Attack("packets", guessed_passwords),
    "audio to another address (21)": Attack("packets", moved_audio),
    "null-cipher hellos, junk": Attack("packets", strange_datagrams),
    "forged SSRCs": Attack("packets", forged_sources),
    "data channel": Attack("packets", data_channel),
    "oversized": Attack("requests", oversized),
    "odd SDP": Attack("offers", odd_sdp),
    "API keys, metrics (22)": Attack("requests", http_guesses),
    "resume tokens guessed": Attack("messages", guessed_resume_tokens),
    "resume tokens replayed": Attack("messages", replayed_resume_tokens),
    "one session moves and moves": Attack("offers", moving_offers),
    "sessions after their end": Attack("offers", sessions_after_their_end),
}
"""The numbers are rows of issue 10's table of defects."""
