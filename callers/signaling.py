"""The caller's side of signaling: a WebSocket that carries the offer, the answer and the server's events.

A caller that knows gateways to come back to replaces a lost WebSocket by itself: it attaches again with its resume
token and the number of the last event that it has seen, and the events that it missed are sent again.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import websockets

from shared.errors import AntiphonError

Event = dict[str, Any]
MakeToken = Callable[[], Awaitable[str | None]]
_CLOSE_TIMEOUT_S = 5.0
_ATTACH_TIMEOUT_S = 5.0
_BACK_OFF_S = (0.0, 0.3, 1.2, 2.7)
_ATTEMPTS = 40
_JITTER = 0.2
_REFUSED = ("resume_refused", "resume_token_reused")


class NotConnected(AntiphonError):
    """The call could not be set up."""

    code = "not_connected"


def back_off() -> Iterator[float]:
    """Delays in seconds before each of a bounded number of attempts, with jitter."""
    delays = chain(_BACK_OFF_S, repeat(_BACK_OFF_S[-1], _ATTEMPTS - len(_BACK_OFF_S)))
    return (delay_s * random.uniform(1 - _JITTER, 1 + _JITTER) for delay_s in delays)


class Signaling:
    """One session at `url`. `on_event` takes each message of the server, the answer included."""

    def __init__(
        self,
        url: str,
        agent_id: str,
        on_event: Callable[[Event], None],
        gateways: Sequence[str] = (),
        make_token: MakeToken | None = None,
    ) -> None:
        """`gateways` are those at which a lost WebSocket is replaced, in turn; without any, it is not.

        `make_token`: for the first offer, where tokens are required.
        """
        self.url = url
        self.lost: NotConnected | None = None
        """Why the session cannot be taken up again."""
        self.dialed_s = self.opened_s = 0.0
        """When the first WebSocket began to open, and when it was open (monotonic)."""
        self._agent_id = agent_id
        self._on_event = on_event
        self._gateways = list(gateways)
        self._make_token = make_token
        self._resume_token = ""
        self._last_seq = 0
        self._is_over = False
        self._socket: websockets.ClientConnection | None = None
        self._attached = asyncio.Event()
        self._goes_away = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def resumes(self) -> bool:
        return bool(self._gateways)

    def saw(self, event: Event) -> None:
        """An event has come another way: it need not be sent again."""
        seq = event.get("seq")
        if isinstance(seq, int):
            self._last_seq = max(self._last_seq, seq)

    async def exchange(self, offer_sdp: str) -> str:
        """The SDP of the answer. Raises `NotConnected`, with the server's code if it refuses.

        The first offer begins a session, or a later one moves it to another peer connection.
        """
        offer: Event = {"type": "offer", "sdp": offer_sdp, "agentId": self._agent_id}
        resumes = bool(self._resume_token) and self.resumes
        if not resumes and self._make_token is not None and (token := await self._make_token()):
            offer["token"] = token
        try:
            if self._task is None:
                self.dialed_s = time.monotonic()
                self._socket = await websockets.connect(self.url)
                self.opened_s = time.monotonic()
                self._attached.set()
                self._task = asyncio.create_task(self._run(self._socket))
            else:
                await self._attached.wait()
                if self.lost is not None:
                    raise self.lost
                self._answer = asyncio.get_running_loop().create_future()
            if resumes:  # by now another WebSocket may have brought another token
                offer |= {"resumeToken": self._resume_token, "lastSeq": self._last_seq}
            assert self._socket is not None
            await self._socket.send(json.dumps(offer))
        except (OSError, websockets.WebSocketException) as error:
            raise NotConnected(f"no call over {self.url}: {error}") from error
        return await self._answer

    async def hang_up(self) -> None:
        self._is_over = True
        if self._socket is not None:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self._socket.send(json.dumps({"type": "bye"}))

    def cut(self) -> None:
        """Lose the WebSocket without a goodbye, as in a network that fails."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        self._is_over = True
        if self._socket is not None:
            await _closed(self._socket)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._answer.done() and not self._answer.cancelled():
            self._answer.exception()  # marks the exception as retrieved, else asyncio logs it

    async def _run(self, socket: websockets.ClientConnection) -> None:
        while True:
            reading = asyncio.create_task(self._read(socket))
            try:
                attached = await self._moved(reading)
                self._socket = attached or socket
                self._attached.set()  # also if there is no other: nobody should wait for it
                await _closed(socket)
                await reading
            finally:
                reading.cancel()
            if attached is None:
                return
            socket = attached

    async def _read(self, socket: websockets.ClientConnection) -> None:
        """Until it is closed."""
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                self._take(json.loads(message))

    async def _moved(self, reading: asyncio.Task[None]) -> websockets.ClientConnection | None:
        """The WebSocket that replaces one that is lost, or that goes away and is read meanwhile; None if none does."""
        self._goes_away.clear()
        leaving = asyncio.create_task(self._goes_away.wait())
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        self._attached.clear()
        if not self._answer.done():
            self._answer.set_exception(NotConnected("the server closed the connection without an answer"))
        if self._is_over or not self._resume_token or not self.resumes:
            return None
        return await self._attach_again()

    async def _attach_again(self) -> websockets.ClientConnection | None:
        """The new WebSocket; None if the session is lost."""
        for attempt, delay_s in enumerate(back_off(), start=1):
            await asyncio.sleep(delay_s)
            url = self._gateways[(self._gateways.index(self.url) + attempt) % len(self._gateways)]
            try:
                async with asyncio.timeout(_ATTACH_TIMEOUT_S):
                    socket = await self._resumed(url)
            except (OSError, websockets.WebSocketException):
                continue  # TimeoutError is an OSError
            except NotConnected as refused:
                if refused.code not in _REFUSED:
                    continue
                self.lost = refused
                return None
            self.url = url
            return socket
        self.lost = NotConnected("no gateway took the session up again")
        return None

    async def _resumed(self, url: str) -> websockets.ClientConnection:
        socket = await websockets.connect(url)
        try:
            resume = {"type": "resume", "resumeToken": self._resume_token, "lastSeq": self._last_seq}
            await socket.send(json.dumps(resume))
            event: Event = {"type": ""}
            while event["type"] != "resumed":
                event = json.loads(await socket.recv())
                self._take(event)
                if event["type"] == "error":
                    raise _refusal(event)
        except BaseException:
            socket.transport.abort()
            raise
        return socket

    def _take(self, event: Event) -> None:
        self.saw(event)
        self._resume_token = event.get("resumeToken") or self._resume_token
        if event["type"] == "answer" and not self._answer.done():
            self._answer.set_result(event["sdp"])
        elif event["type"] == "error" and not self._answer.done():
            refusal = _refusal(event)
            if refusal.code in _REFUSED:
                self.lost = refusal
            self._answer.set_exception(refusal)
        elif event["type"] == "status" and event.get("status") == "ended":
            self._is_over = True
        elif event["type"] == "goaway" and event.get("scope") == "signaling" and self.resumes:
            self._goes_away.set()
        self._on_event(event)


def _refusal(event: Event) -> NotConnected:
    retry_after_ms = event.get("retryAfterMs")
    return NotConnected(f"refused: {event.get('message')}", code=event.get("code"), retry_after_ms=retry_after_ms)


async def _closed(socket: websockets.ClientConnection) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await socket.close()
