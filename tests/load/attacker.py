"""An attacker's process: does one attack for each name that it reads, and writes what came of it.

It calls from 127.0.0.2, so that limits per address tell it from the callers beside it.
"""

import asyncio
import contextlib
import json
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import websockets
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription

from callers.rtp_caller import RtpCaller

ADDRESS = "127.0.0.2"
ROGUE_AGENTS = ("rogue", "rogue-on-a-console")
"""Their language model calls tools as no honest model would."""
_REPLY_TIMEOUT_S = 10.0
Json = dict[str, Any]


@dataclass
class Outcome:
    """What was sent, and how often each answer came."""

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def answered(self, answer: str) -> None:
        self.answers[answer] += 1


class Client:
    """A signaling connection."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self.resume_token = ""

    async def send(self, message: Json | str) -> None:
        await self._socket.send(message if isinstance(message, str) else json.dumps(message))

    async def reply(self, *types: str) -> Json:
        """The next message of these types, or the close code."""
        try:
            async with asyncio.timeout(_REPLY_TIMEOUT_S):
                while True:
                    message: Json = json.loads(await self._socket.recv())
                    if message["type"] in ("session", "resumed"):
                        self.resume_token = message["resumeToken"]
                    if message["type"] in types:
                        return message
        except websockets.ConnectionClosed as closed:
            return {"type": "close", "code": closed.rcvd.code if closed.rcvd else 1006}
        except TimeoutError:
            return {"type": "silence"}

    async def ask(self, message: Json | str, *types: str) -> str:
        """The reply in a word: its type, the code of an error or a close."""
        try:
            await self.send(message)
        except websockets.ConnectionClosed:
            return "close"
        return word(await self.reply(*types, "error"))

    async def close(self) -> None:
        await self._socket.close()


def word(reply: Json) -> str:
    return f"close {reply['code']}" if reply["type"] == "close" else str(reply.get("code", reply["type"]))


class Target:
    """The deployment, as it can be reached from outside."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.sdp = ""

    async def ready(self) -> None:
        """Make the offer of an ordinary caller, who never connects."""
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        pc.addTransceiver("audio")
        await pc.setLocalDescription(await pc.createOffer())
        self.sdp = pc.localDescription.sdp
        await pc.close()

    def offer(self, **fields: Any) -> Json:
        return {"type": "offer", "sdp": self.sdp, "agentId": "echo", **fields}

    @asynccontextmanager
    async def client(self, address: str = ADDRESS, **options: Any) -> AsyncIterator[Client]:
        """From this address. Raises `OSError` or `websockets.WebSocketException`."""
        url = f"ws://{self.host}:{self.port}/signaling"
        async with websockets.connect(url, local_addr=(address, 0), close_timeout=1, **options) as socket:
            yield Client(socket)

    @asynccontextmanager
    async def caller(
        self, channel: bool = False, agent_id: str = "echo"
    ) -> AsyncIterator[tuple[RtpCaller, Client, str]]:
        """One who is connected, with their signaling and the answer."""
        caller = RtpCaller(channel)
        answer = ""
        async with self.client() as client:

            async def exchange(sdp: str) -> str:
                nonlocal answer
                await client.send(self.offer(sdp=sdp, agentId=agent_id))
                answer = str((await client.reply("answer", "error"))["sdp"])
                return answer

            try:
                await caller.connect(exchange)
                yield caller, client, answer
            finally:
                await caller.close()
                with contextlib.suppress(websockets.ConnectionClosed):
                    await client.send({"type": "bye"})

    async def tcp(self, address: str = ADDRESS) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, local_addr=(address, 0))

    async def http(self, request: bytes) -> str:
        """The status, or how the connection ended."""
        try:
            reader, writer = await self.tcp()
            try:
                writer.write(request)
                async with asyncio.timeout(_REPLY_TIMEOUT_S):
                    status = (await reader.readline()).decode()
            finally:
                writer.close()
        except TimeoutError:
            return "silence"
        except OSError:
            return "reset"
        return status.split()[1] if status else "cut off"


def media_address(answer: str) -> tuple[str, int]:
    candidate = SessionDescription.parse(answer).media[0].ice_candidates[0]
    return candidate.ip, candidate.port


def attribute(answer: str, name: str) -> str:
    """Of the first section that has it."""
    return answer.partition(f"a={name}:")[2].split("\r\n")[0]


def wrong_token(session: str) -> str:
    return f"{session}.{secrets.token_hex(33)}"


async def main() -> None:
    from tests.load.attacks import ATTACKS  # they use this module

    target = Target(sys.argv[1], int(sys.argv[2]))
    await target.ready()
    loop = asyncio.get_running_loop()
    while name := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        outcome = Outcome()
        try:
            async with asyncio.timeout(60):
                await ATTACKS[name].run(target, outcome)
        except Exception as error:  # noqa: BLE001 (the next attack is still to come)
            outcome.answered(f"attack failed: {error!r}")
        answers = ", ".join(f"{answer} {count}" for answer, count in outcome.answers.most_common(4))
        print(json.dumps({"sent": outcome.sent, "answered": answers or "nothing"}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
