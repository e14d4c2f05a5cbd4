"""A helper process: carries callers for a leader, and tells it what they measure."""

import asyncio
import base64
import contextlib
import functools
import socket
import time

from callers.impairment import Impairment
from callers.load.conversations import Conversations
from callers.load.crew import Crew
from callers.load.link import Link, LinkError, open_link
from callers.load.load_caller import LoadCaller
from callers.load.messages import Hello, Level, Measure, Prepare, Report, Stop, ToLeader, to_helper
from callers.server import Relay, Server
from callers.signaling import Signaling

_LEADER_TIMEOUT_S = 30.0
_RELAYS_KNOWN_S = 60.0
_LISTENERS = 4
"""Every fourth caller decodes what it hears. That is a quarter of a per cent of a core."""


async def help_leader(host: str, port: int, key: bytes) -> None:
    """Until the leader says that it is over. Raises `LinkError`."""
    async with await open_link(host, port, key) as link:
        await _send(link, Hello(host=socket.gethostname()))
        order = to_helper.validate_json(await link.receive(_LEADER_TIMEOUT_S))
        if not isinstance(order, Prepare):
            raise LinkError("the leader did not say what to prepare")
        server = Server(order.url, order.api_key)
        crew = Conversations(server, order.scripts) if order.scripts else _crew(order, server)
        tasks = [asyncio.create_task(crew.run()), asyncio.create_task(_tick(link, crew))]
        following = asyncio.create_task(_follow(link, crew))
        try:
            done, _ = await asyncio.wait([*tasks, following], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, following):
                task.cancel()
            await asyncio.gather(*tasks, following, return_exceptions=True)
        for task in done:
            task.result()


def _crew(order: Prepare, server: Server) -> Crew:
    packets = [base64.b64decode(packet) for packet in order.packets]
    impaired = order.impaired
    impairment = Impairment(burst_loss=impaired.loss, jitter_ms=impaired.jitter_ms, delay_ms=impaired.delay_ms)

    tokens = iter(order.tokens)
    relays = Relays(server)

    async def make_caller(index: int) -> LoadCaller:
        token = next(tokens, None) or await server.token(order.agent)

        async def make_token() -> str | None:
            return token

        url = server.signaling_url
        signaling = functools.partial(Signaling, url, order.agent, gateways=[url], make_token=make_token)
        known = await relays.known(token)
        return LoadCaller(signaling, packets, index, impairment, index % _LISTENERS == 0, known)

    return Crew(make_caller, order.first_index)


class Relays:
    """Asked for when the first caller comes, and again before the credentials could be too old."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._asked_s = float("-inf")
        self._known: list[Relay] = []
        self._lock = asyncio.Lock()

    async def known(self, token: str | None) -> list[Relay]:
        """Raises `NotConnected`."""
        async with self._lock:
            if time.monotonic() - self._asked_s > _RELAYS_KNOWN_S:
                self._known = await self._server.relays(token)
                self._asked_s = time.monotonic()
        return self._known


async def _follow(link: Link, crew: Crew | Conversations) -> None:
    """Returns when the leader stops the run, or is gone: then nobody needs these callers."""
    with contextlib.suppress(LinkError):
        while True:
            order = to_helper.validate_json(await link.receive(_LEADER_TIMEOUT_S))
            if isinstance(order, Level):
                crew.bring_about(order)
            elif isinstance(order, Measure):
                crew.measure()
            elif isinstance(order, Report):
                await _send(link, crew.measured())
            elif isinstance(order, Stop):
                return


async def _tick(link: Link, crew: Crew | Conversations) -> None:
    due_s = time.monotonic()
    while True:
        due_s += 1
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        await _send(link, crew.tick())


async def _send(link: Link, message: ToLeader) -> None:
    await link.send(message.model_dump_json(exclude_defaults=False).encode())
