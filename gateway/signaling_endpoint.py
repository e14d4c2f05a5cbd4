"""Signaling over a WebSocket: feeds the machine in `core.signaling` and carries out its actions.

Each connection has three readers (socket, mailbox, deadline). They feed the machine one input at a time, and so do
placements and look-ups when they end. A reader waits until its input is handled, so a client that sends fast
only fills its own TCP window, up to a rate: more is not parsed. A client that does not read hits the send deadline.
`guard` has checked the origin of its page. Where tokens are required, the first offer brings one.
"""

import asyncio
import secrets
from collections import deque

from prometheus_client import Counter, Gauge
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.access import Access
from gateway.caller_grant import CallerGrant
from gateway.core.client_address import address_block, is_loopback
from gateway.core.client_messages import Limits, Offer, UnknownMessage, parse_client_message
from gateway.core.connection import State
from gateway.core.connection_limits import SLOTS
from gateway.core.rate_limits import MOVES_PER_MINUTE, TOO_MANY_MESSAGES, MessageRateLimiter, SessionRateLimiter
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    Action,
    BadMessage,
    ClientTooSlow,
    CloseSocket,
    DeadlinePassed,
    DrainEnded,
    DrainStarted,
    EventsRead,
    Heard,
    Input,
    Lookup,
    LookupFailed,
    Place,
    Placed,
    PlacementRefused,
    ReadEvents,
    Release,
    SendToClient,
    SendToWorker,
    SessionFound,
    SessionUnknown,
    SocketClosed,
    Watch,
)
from gateway.core.signaling_rules import POLICY, SignalingRules
from gateway.media_link import Mailbox, MediaLink
from gateway.placer import Placer
from gateway.session_directory import SessionDirectory
from gateway.session_limits import SessionLimits
from shared.errors import BrokerError, PeerError, RefusedError
from shared.events import GatewayAttached, OfferRefused, OpenSession
from shared.io.logs import get_logger

_connections = Gauge("antiphon_gateway_signaling_connections", "Open signaling connections")
_errors = Counter("antiphon_gateway_signaling_errors_total", "Errors sent to clients, by code", ["code"])
_dropped = Counter("antiphon_gateway_dropped_messages_total", "Client messages over the rate limit")
_unknown = Counter("antiphon_gateway_unknown_messages_total", "Client messages of a type that is not known")

log = get_logger()


class SignalingEndpoint:
    """The open connections and what they share."""

    def __init__(
        self,
        rules: SignalingRules,
        limits: Limits,
        access: Access,
        placer: Placer,
        link: MediaLink,
        directory: SessionDirectory,
        at_once: SessionLimits,
        new_sessions: SessionRateLimiter,
        send_timeout_s: float = 5.0,
    ) -> None:
        self.rules = rules
        self.limits = limits
        self.access = access
        self.placer = placer
        self.link = link
        self.directory = directory
        self.at_once = at_once
        self.new_sessions = new_sessions
        self.send_timeout_s = send_timeout_s
        self.moves = SessionRateLimiter(MOVES_PER_MINUTE)
        self.draining = False
        self._open: set[SignalingConnection] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()

    @property
    def connections(self) -> int:
        return len(self._open)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client, from handshake to close."""
        await websocket.accept()
        connection = SignalingConnection(self, websocket)
        self._open.add(connection)
        self._none_open.clear()
        _connections.inc()
        try:
            await connection.run()
        finally:
            _connections.dec()
            self._open.discard(connection)
            if not self._open:
                self._none_open.set()

    async def drain(self, time_left_s: float) -> None:
        """Ask every client to leave; end the connections that are still open after `time_left_s`."""
        self.draining = True
        await self._tell_all(DrainStarted(round(time_left_s * 1000)))
        try:
            async with asyncio.timeout(time_left_s):
                await self._none_open.wait()
        except TimeoutError:
            await self._tell_all(DrainEnded())

    async def _tell_all(self, event: Input) -> None:
        async with asyncio.TaskGroup() as tasks:
            for connection in list(self._open):
                tasks.create_task(connection.feed(event))


class SignalingConnection:
    """Wires one socket to one machine."""

    def __init__(self, endpoint: SignalingEndpoint, websocket: WebSocket) -> None:
        self._endpoint = endpoint
        self._websocket = websocket
        self._machine = SignalingMachine(endpoint.rules, _now_s())
        self._rate = MessageRateLimiter(endpoint.limits.max_message_bytes)
        self._mailbox = Mailbox()
        self._turn = asyncio.Lock()
        self._deadline_moved = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._sessions: set[str] = set()
        rules = endpoint.rules
        self._grant = CallerGrant(
            endpoint.access, endpoint.at_once, rules.agents, secrets.token_urlsafe(16), rules.retry_after_ms
        )

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                readers = (self._read_socket(), self._read_mailbox(), self._keep_deadline())
                running = [self._tasks.create_task(reader) for reader in readers]
                if self._endpoint.draining:
                    await self.feed(DrainStarted(0))
                await self._ended.wait()
                for task in running:
                    task.cancel()
        finally:
            await self._clean_up()

    async def feed(self, event: Input) -> None:
        """Feed the machine one input and carry out its actions before the next input is handled."""
        async with self._turn:
            await self._handle(event)

    async def _handle(self, event: Input) -> None:
        inputs = deque([event])
        while inputs:
            for action in self._machine.handle(inputs.popleft(), _now_s()):
                failure = await self._do(action)
                if failure is not None:
                    inputs.append(failure)
        self._deadline_moved.set()
        if self._machine.state is State.CLOSED:
            self._ended.set()

    # Readers

    async def _read_socket(self) -> None:
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                await self.feed(SocketClosed())
                return
            text = received.get("text")
            match self._rate.judge(len(received.get("bytes") or text or ""), _now_s()):
                case "admitted":
                    await self._take(self._parse(text))
                case "refused":
                    _dropped.inc()
                    await self.feed(BadMessage("too_many_messages", TOO_MANY_MESSAGES))
                case "dropped":
                    _dropped.inc()
                case "flood":
                    log.info("signaling_flooded", session_id=self._machine.session)
                    await self._close(POLICY, "too_many_messages")
                    await self.feed(SocketClosed())
                    return

    async def _take(self, message: Input) -> None:
        async with self._turn:  # a look-up that ends meanwhile must not make this the first offer
            new = self._machine.state is State.WAITING_FOR_OFFER
            if new and isinstance(message, Offer) and message.resume_token is None:
                message = await self._admitted(message)
            await self._handle(message)

    def _parse(self, text: str | None) -> Input:
        if text is None:
            return BadMessage("bad_message", "messages are text, not binary")
        try:
            message = parse_client_message(text, self._endpoint.limits)
        except PeerError as error:
            return BadMessage(error.code, error.message)
        if isinstance(message, UnknownMessage):
            _unknown.inc()
        return message

    async def _admitted(self, offer: Offer) -> Offer | BadMessage:
        """The offer, if its token allows it."""
        try:
            await self._grant.admit(offer.token, offer.agent_id)
        except (PeerError, BrokerError) as error:
            message = "the service cannot reach its broker" if isinstance(error, BrokerError) else error.message
            return BadMessage(error.code, message)
        return offer

    async def _read_mailbox(self) -> None:
        async for mail in self._mailbox:
            if isinstance(mail, Heard) and isinstance(refusal := mail.message, OfferRefused):
                log.info("offer_refused", session_id=refusal.session, code=refusal.code, reason=refusal.message)
            await self.feed(mail)
        await self.feed(ClientTooSlow())

    async def _keep_deadline(self) -> None:
        while True:
            self._deadline_moved.clear()
            deadline_s = self._machine.deadline_s
            try:
                async with asyncio.timeout_at(deadline_s):
                    await self._deadline_moved.wait()
            except TimeoutError:
                await self.feed(DeadlinePassed())

    async def _place(self, place: Place) -> None:
        rules = self._endpoint.rules
        is_new = not place.session and not place.avoid
        if is_new and (wait_ms := self._wait_ms()):
            message = "too many new sessions from this address"
            await self.feed(PlacementRefused("too_many_sessions", message, wait_ms))
            return
        if place.session and (wait_ms := self._endpoint.moves.wait_ms(place.session, _now_s())):
            message = "this session has moved too often"
            await self.feed(PlacementRefused("too_many_moves", message, wait_ms))
            return
        try:
            async with asyncio.timeout(rules.answer_timeout_s):
                outcome: Input = await self._counted(place, await self._endpoint.placer.place(place))
        except (RefusedError, BrokerError) as error:
            outcome = PlacementRefused(error.code, error.message, error.retry_after_ms)
        except TimeoutError:
            outcome = PlacementRefused(BrokerError.code, "no place was found in time", rules.retry_after_ms)
        await self.feed(outcome)

    async def _counted(self, place: Place, placed: Placed) -> Placed:
        """Raises as `CallerGrant.count` does; the place is free again then."""
        if place.session:  # moves
            return placed
        try:
            return await self._grant.count(placed, place.agent_id)
        except (RefusedError, BrokerError):
            await self._endpoint.placer.release(placed.session, placed.media_worker)
            raise

    async def _look_up(self, session: str) -> None:
        try:
            known = await self._endpoint.directory.find(session)
        except BrokerError as error:
            log.warning("session_not_looked_up", session_id=session, error=error.message)
            message = "the service cannot reach its broker"
            await self.feed(LookupFailed(error.code, message, self._endpoint.rules.retry_after_ms))
            return
        if known is None:
            await self.feed(SessionUnknown())
        else:
            alive = self._endpoint.placer.is_alive(known.record.media_worker)
            await self.feed(SessionFound(known.record, known.events, alive))

    async def _read_events(self, session: str) -> None:
        await self.feed(EventsRead(await self._endpoint.directory.settled_events(session)))

    def _wait_ms(self) -> int:
        """How long until this caller's address may open a session."""
        address = self._websocket.client.host if self._websocket.client else ""
        return 0 if is_loopback(address) else self._endpoint.new_sessions.wait_ms(address_block(address), _now_s())

    # Actions

    async def _do(self, action: Action) -> Input | None:
        match action:
            case SendToClient(message):
                return await self._send(dict(message))
            case SendToWorker(media_worker, message):
                if isinstance(message, OpenSession | GatewayAttached):
                    self._endpoint.link.attach(message.session, self._mailbox)
                    self._sessions.add(message.session)
                self._endpoint.link.send(media_worker, message)
            case Watch(session, media_worker):
                self._endpoint.link.watch(session, media_worker, self._mailbox)
                # The session is established, whether or not its client hears of it.
                self._grant.spend()
                for slot in self._websocket.scope.get(SLOTS, ()):
                    slot.keep()
            case Place():
                self._tasks.create_task(self._place(action))
            case Lookup(session):
                self._tasks.create_task(self._look_up(session))
            case ReadEvents(session):
                self._tasks.create_task(self._read_events(session))
            case Release(session, media_worker):
                await self._endpoint.placer.release(session, media_worker)
                await self._grant.uncount(session)
            case CloseSocket(code, reason):
                log.info("signaling_closed", session_id=self._machine.session, code=code, reason=reason)
                await self._grant.give_back()  # before the client can try again
                await self._close(code, reason)
        return None

    async def _send(self, message: dict[str, object]) -> Input | None:
        if message.get("type") == "error":
            _errors.labels(message.get("code")).inc()
            log.info("client_error", session_id=self._machine.session, code=message.get("code"))
        if not self._connected:
            return None
        try:
            async with asyncio.timeout(self._endpoint.send_timeout_s):
                await self._websocket.send_json(message)
        except TimeoutError:
            return ClientTooSlow()
        except WebSocketDisconnect:
            return SocketClosed()
        return None

    async def _close(self, code: int, reason: str) -> None:
        if not self._connected:
            return
        try:
            async with asyncio.timeout(self._endpoint.send_timeout_s):
                await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.info("close_not_delivered", session_id=self._machine.session)

    @property
    def _connected(self) -> bool:
        connected = WebSocketState.CONNECTED
        return self._websocket.client_state is connected and self._websocket.application_state is connected

    async def _clean_up(self) -> None:
        """Runs after a cancellation or a failure too, so that the media worker does not wait for us."""
        for action in self._machine.handle(SocketClosed(), _now_s()):
            if isinstance(action, SendToWorker):
                self._endpoint.link.send(action.media_worker, action.message)
        for session in self._sessions:
            self._endpoint.link.detach(session, self._mailbox)
        await self._grant.give_back()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
