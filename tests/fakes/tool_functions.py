"""Python functions such as operators write them, for agents' `python: tests.fakes.tool_functions:...`."""

import asyncio
import contextlib
import sys
import threading
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from pipeline_worker.tools.outcome import ToolContext

NOT_CALLABLE = 1


class Flag:
    """An `asyncio.Event` for several event loops: tools run on their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def set(self) -> None:
        with self._lock:
            self._is_set = True
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # the loop of an earlier test, which is closed
                loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        event = asyncio.Event()
        with self._lock:
            if self._is_set:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


class Gate:
    """Holds `held` back, and counts how often it began and ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.began = Flag()
        self.four_began = Flag()
        self.may_end = Flag()


gate = Gate()


def fresh_gate() -> Gate:
    """One for each test."""
    global gate
    gate = Gate()
    return gate


async def held(name: str = "") -> str:
    gate.begun += 1
    gate.began.set()
    if gate.begun == 4:
        gate.four_began.set()
    await gate.may_end.wait()
    gate.ended += 1
    return f"done {name}".strip()


def add(a: int, b: int = 1) -> int:
    return a + b


async def greet(name: str, *, context: ToolContext) -> dict[str, Any]:
    return {"hello": name, "session": context.session_id, "agent": context.agent_id, "call": context.call_id}


def nothing(**anything: Any) -> None: ...


def refuse() -> None:
    raise ValueError("no table is free at 7")


def crash() -> None:
    raise RuntimeError("password is 12345")


def leave() -> None:
    sys.exit(1)


async def leave_at_once() -> None:
    sys.exit(1)


async def leave_by_control_c() -> None:
    raise KeyboardInterrupt


async def block() -> None:
    """What an `async` function must not do."""
    unblocked.wait(10)


unblocked = threading.Event()


async def never_stop() -> None:
    """Does not even let itself be cancelled."""
    while not unblocked.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue


def a_huge_list() -> list[str]:
    return ["x" * 1_000] * 50_000


async def a_huge_text() -> str:
    return "x" * 50_000_000


async def give_up() -> None:
    raise asyncio.CancelledError


@dataclass
class Booking:
    guest: str
    on: date
    price: Decimal
    table: "Table"


@dataclass
class Table:
    number: int


def book() -> list[Booking]:
    return [Booking("Ünal", date(2026, 5, 1), Decimal("12.50"), Table(7))]


def bookings_by_day() -> dict[date, int]:
    return {date(2026, 5, 1): 2}


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no words for it")


def unprintable() -> object:
    return [_Unprintable()]


def endless() -> str:
    return "x" * 100_000


class _Callable(NamedTuple):
    word: str

    async def __call__(self) -> str:
        return self.word


an_object = _Callable("from an object")
