"""The leader's side of its helpers: who is there, what they are told, and what they say.

A helper that is gone stays gone: its callers count as cut, and the others go on.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from pydantic import ValidationError

from callers.load.link import Link, LinkError, accept_link
from callers.load.messages import (
    Alive,
    Hello,
    Level,
    Measure,
    Measured,
    Prepare,
    Report,
    Stop,
    Tick,
    ToHelper,
    to_leader,
)
from callers.load.tally import MOST_CODES, Tally
from shared.errors import ConfigError

_SILENT_AFTER_S = 15.0
"""Helpers say something every second."""
_ALIVE_EVERY_S = 5.0
_REPORT_TIMEOUT_S = 15.0
_LEAVE_TIMEOUT_S = 30.0
_MOST_HELPERS = 1_000
"""Strangers included, until they have proved that they are none, or their time is over."""
_MOST_REFUSALS = 100
HELPER_LOST = "cut_helper_lost"
INDEXES_PER_HELPER = 100_000
"""Callers of different helpers have different numbers."""


class Helper:
    """One process that carries callers."""

    def __init__(self, link: Link, host: str, explain: Callable[[Mapping[str, str]], None]) -> None:
        """`explain` gets the reasons of errors, by code."""
        self.host = host
        self._explain = explain
        self.latest: Tick | None = None
        self.unread = Tally()
        """Of the ticks since it was last taken."""
        self.is_gone = False
        self.wanted = 0
        self._link = link
        self._measured: asyncio.Queue[Measured] = asyncio.Queue(1)

    @property
    def connected(self) -> int:
        return self.latest.connected if self.latest is not None and not self.is_gone else 0

    @property
    def is_settled(self) -> bool:
        """Whether it has brought about what it was told."""
        return self.is_gone or (self.latest is not None and self.latest.wanted == self.wanted and self.latest.settled)

    async def tell(self, order: ToHelper) -> None:
        """Nothing if it is gone."""
        if not self.is_gone:
            try:
                await self._link.send(order.model_dump_json().encode())
            except LinkError:
                self._leave()

    async def report(self) -> Measured | None:
        """None if it is gone. One that does not answer in time has to go: it would answer at the next level."""
        await self.tell(Report())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPORT_TIMEOUT_S):
                while not self.is_gone:
                    with contextlib.suppress(TimeoutError):
                        return await asyncio.wait_for(self._measured.get(), 0.5)
        self._leave()
        return None

    def _leave(self) -> None:
        self.is_gone = True
        self._link.close()

    async def listen(self) -> None:
        """Until it is gone."""
        try:
            while True:
                said = to_leader.validate_json(await self._link.receive(_SILENT_AFTER_S))
                if isinstance(said, Tick):
                    self.latest = said
                    self.unread.merge(said.tally)
                    self._explain(said.reasons)
                elif isinstance(said, Measured) and not self._measured.full():
                    self._measured.put_nowait(said)
        except (LinkError, ValidationError):
            self.is_gone = True


class Fleet:
    """Helpers come by themselves. `prepare` is what each is told first."""

    def __init__(self, key: bytes, prepare: Prepare, expected: int, on_change: Callable[[str], None]) -> None:
        """`expected` helpers share the tokens."""
        self._key = key
        self._expected = expected
        self._prepare = prepare
        self._on_change = on_change
        self.helpers: list[Helper] = []
        self.lost_callers = 0
        """Of helpers that are gone."""
        self._explained: set[str] = set()
        """Codes."""
        self._door: asyncio.Server | None = None
        self._refused: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False

    @property
    def live(self) -> list[Helper]:
        return [helper for helper in self.helpers if not helper.is_gone]

    @property
    def connected(self) -> int:
        return sum(helper.connected for helper in self.helpers)

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Yields the port. Leaving ends all helpers. Raises `ConfigError`."""
        try:
            self._door = await asyncio.start_server(self._welcome, host, port)
        except OSError as error:
            raise ConfigError(f"{error.strerror or error}: name another address with --listen") from error
        alive = asyncio.create_task(self._stay_alive())
        try:
            yield int(self._door.sockets[0].getsockname()[1])
        finally:
            alive.cancel()
            self.close_door()
            await self.stop()
            await asyncio.gather(alive, return_exceptions=True)

    def close_door(self) -> None:
        """Nobody else can come: neither helpers, nor strangers who would disturb the run."""
        if self._door is not None:
            self._door.close()

    async def stop(self) -> None:
        """All helpers let their callers leave, and end."""
        self._is_over = True
        await self.tell_all(Stop())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LEAVE_TIMEOUT_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def tell_all(self, order: ToHelper) -> None:
        await asyncio.gather(*(helper.tell(order) for helper in self.live))

    async def bring_about(self, callers: int, per_s: float, call_s: float = 0.0) -> None:
        """As many callers in all, evenly spread."""
        live = self.live
        for index, helper in enumerate(live):
            helper.wanted = share(callers, index, len(live))
            await helper.tell(Level(callers=helper.wanted, per_s=per_s / len(live), call_s=call_s))

    async def measure(self) -> None:
        await self.tell_all(Measure())

    async def report(self) -> list[Measured]:
        found = await asyncio.gather(*(helper.report() for helper in self.live))
        return [measured for measured in found if measured is not None]

    def take_unread(self) -> Tally:
        """What all have said since the last time."""
        tally = Tally()
        for helper in self.helpers:
            tally.merge(helper.unread)
            helper.unread = Tally()
        return tally

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = writer.get_extra_info("peername")
        try:
            if len(self._tasks) > _MOST_HELPERS:
                raise LinkError("too many connections")
            async with await accept_link(reader, writer, self._key) as link:
                await self._serve(link)
        except (LinkError, ValidationError) as error:
            message = error.message if isinstance(error, LinkError) else "it speaks another version"
            writer.close()
            self._refuse(f"refused a helper from {peer[0] if peer else 'nowhere'}: {message}")
        finally:
            self._tasks.discard(task)

    async def _serve(self, link: Link) -> None:
        hello = to_leader.validate_json(await link.receive(_SILENT_AFTER_S))
        if not isinstance(hello, Hello):
            raise LinkError("it does not say who it is")
        helper = Helper(link, hello.host, self._explain)
        tokens = self._prepare.tokens[len(self.helpers) :: self._expected]
        first_index = len(self.helpers) * INDEXES_PER_HELPER
        await helper.tell(self._prepare.model_copy(update={"first_index": first_index, "tokens": tokens}))
        self.helpers.append(helper)
        await helper.listen()
        if helper.wanted and not self._is_over:
            lost = helper.latest.connected if helper.latest is not None else 0
            helper.unread.fail(HELPER_LOST, lost)
            self.lost_callers += lost
            self._on_change(f"a helper on {helper.host} is gone, and {lost} callers with it")

    def _refuse(self, words: str) -> None:
        """A port scanner must not fill the terminal."""
        if words in self._refused or len(self._refused) < _MOST_REFUSALS:
            self._refused[words] += 1
            if self._refused[words] in (1, 10, 100, 1_000):
                self._on_change(words + (f" ({self._refused[words]} times)" if self._refused[words] > 1 else ""))

    def _explain(self, reasons: Mapping[str, str]) -> None:
        """Each code once in a run."""
        for code, reason in reasons.items():
            if code not in self._explained and len(self._explained) < MOST_CODES:
                self._explained.add(code)
                self._on_change(f"{code}: {reason}")

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(_ALIVE_EVERY_S)
            await self.tell_all(Alive())


def share(callers: int, index: int, processes: int) -> int:
    """How many of `callers` process `index` carries. Shares differ by one at most, and none falls when callers rise."""
    return callers // processes + (index < callers % processes)
