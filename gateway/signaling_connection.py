"""One client's signaling: feeds the machine in `core.signaling` and carries out its actions.

A connection has three readers (socket, mailbox, deadline). They feed the machine one input at a time, and so do
placements and look-ups when they end. A reader waits until its input is handled, so a client that sends fast only fills
its own TCP window. Where tokens are required, the first offer brings one.
"""

import asyncio
import secrets
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass

from gateway.access import Access
from gateway.admission import Admission
from gateway.caller_grant import CallerGrant
from gateway.client_socket import ClientSocket
from gateway.core.client_messages import Limits, Offer
from gateway.core.connection import State
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    Action,
    BadMessage,
    ClientTooSlow,
    CloseSocket,
    DeadlinePassed,
    EventsRead,
    Heard,
    Input,
    Lookup,
    LookupFailed,
    Place,
    ReadEvents,
    Release,
    SendToClient,
    SendToWorker,
    SessionFound,
    SessionUnknown,
    SocketClosed,
    Watch,
)
from gateway.core.signaling_rules import SignalingRules
from gateway.media_link import Mailbox, MediaLink
from gateway.placer import Placer
from gateway.session_directory import SessionDirectory
from gateway.session_limits import SessionLimits
from gateway.setup_meter import SetupMeter
from shared.errors import BrokerError, PeerError
from shared.events import GatewayAttached, OfferRefused, OpenSession
from shared.io.logs import get_logger

_SETTING_UP = (State.LOOKING_UP, State.PLACING, State.WAITING_FOR_ANSWER, State.PLACING_AGAIN)
_BROKER_AWAY = "the service cannot reach its broker"

log = get_logger()


@dataclass(frozen=True)
class SignalingServices:
    """What the connections of a gateway share."""

    rules: SignalingRules
    limits: Limits
    access: Access
    admission: Admission
    placer: Placer
    link: MediaLink
    directory: SessionDirectory
    at_once: SessionLimits
    send_timeout_s: float = 5.0


class SignalingConnection:
    """Wires one socket to one machine."""

    def __init__(self, services: SignalingServices, socket: ClientSocket) -> None:
        self._services = services
        self._socket = socket
        self._machine = SignalingMachine(services.rules, _now_s())
        self._setup = SetupMeter(socket.traceparent)
        self._refusal = ""
        """The code of the last error that the client was sent."""
        self._mailbox = Mailbox()
        self._turn = asyncio.Lock()
        self._deadline_moved = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._sessions: set[str] = set()
        rules = services.rules
        self._grant = CallerGrant(
            services.access, services.at_once, rules.agents, secrets.token_urlsafe(16), rules.retry_after_ms
        )

    @property
    def waits_for_offer(self) -> bool:
        return self._machine.state is State.WAITING_FOR_OFFER

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                readers = (self._read_socket(), self._read_mailbox(), self._keep_deadline())
                running = [self._tasks.create_task(reader) for reader in readers]
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
            actions = self._machine.handle(inputs.popleft(), _now_s())
            self._socket.session = self._machine.session
            for action in actions:
                failure = await self._do(action)
                if failure is not None:
                    inputs.append(failure)
        if self._machine.state not in _SETTING_UP:
            self._setup.failed(self._refusal or "gone")
        self._refusal = ""
        self._deadline_moved.set()
        if self._machine.state is State.CLOSED:
            self._ended.set()

    # Readers

    async def _read_socket(self) -> None:
        async with aclosing(self._socket.messages()) as messages:
            async for message in messages:
                async with self._turn:  # a look-up that ends meanwhile must not make this the first offer
                    await self._handle(await self._admitted(message))
        await self.feed(SocketClosed())

    async def _admitted(self, message: Input) -> Input:
        """The message, unless it is a first offer whose token does not allow it."""
        if not isinstance(message, Offer):
            return message
        if self._machine.state not in _SETTING_UP and (self.waits_for_offer or message.resume_token is not None):
            self._setup.offered()
        if message.resume_token is not None or not self.waits_for_offer:
            return message
        try:
            await self._grant.admit(message.token, message.agent_id)
        except BrokerError as error:
            return BadMessage(error.code, _BROKER_AWAY)
        except PeerError as error:
            return BadMessage(error.code, error.message)
        return message

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

    # Actions

    async def _do(self, action: Action) -> Input | None:
        services = self._services
        match action:
            case SendToClient(message):
                self._refusal = str(message.get("code", "")) or self._refusal
                return await self._socket.send(dict(message))
            case SendToWorker(media_worker, message):
                if isinstance(message, OpenSession | GatewayAttached):
                    services.link.attach(message.session, self._mailbox)
                    self._sessions.add(message.session)
                if isinstance(message, OpenSession):
                    message = self._setup.placed(message)
                services.link.send(media_worker, message)
            case Watch(session, media_worker):
                services.link.watch(session, media_worker, self._mailbox)
                # The session is established, whether or not its client hears of it.
                self._setup.answered()
                self._grant.spend()
                self._socket.keep_slots()
            case Place():
                self._tasks.create_task(self._place(action))
            case Lookup(session):
                self._tasks.create_task(self._look_up(session))
            case ReadEvents(session):
                self._tasks.create_task(self._read_events(session))
            case Release(session, media_worker):
                await services.placer.release(session, media_worker)
                await self._grant.uncount(session)
            case CloseSocket(code, reason):
                log.info("signaling_closed", session_id=self._machine.session, code=code, reason=reason)
                await self._grant.give_back()  # before the client can try again
                await self._socket.close(code, reason)
        return None

    async def _place(self, place: Place) -> None:
        await self.feed(await self._services.admission.place(place, self._socket.address, self._grant))

    async def _look_up(self, session: str) -> None:
        services = self._services
        try:
            known = await services.directory.wait_for(session)
        except BrokerError as error:
            log.warning("session_not_looked_up", session_id=session, error=error.message)
            await self.feed(LookupFailed(error.code, _BROKER_AWAY, services.rules.retry_after_ms))
            return
        if known is None:
            await self.feed(SessionUnknown())
        else:
            alive = services.placer.is_alive(known.record.media_worker)
            await self.feed(SessionFound(known.record, known.events, alive))

    async def _read_events(self, session: str) -> None:
        await self.feed(EventsRead(await self._services.directory.settled_events(session)))

    async def _clean_up(self) -> None:
        """Runs after a cancellation or a failure too, so that the media worker does not wait for us."""
        for action in self._machine.handle(SocketClosed(), _now_s()):
            if isinstance(action, SendToWorker):
                self._services.link.send(action.media_worker, action.message)
        self._setup.failed("gone")
        for session in self._sessions:
            self._services.link.detach(session, self._mailbox)
        await self._grant.give_back()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
