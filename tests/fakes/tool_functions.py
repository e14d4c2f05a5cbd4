"""Python functions such as operators write them, for agents' `python: tests.fakes.tool_functions:...`."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from pipeline_worker.tools.outcome import ToolContext

NOT_CALLABLE = 1


class Gate:
    """Holds `held` back, and counts how often it began and ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()


gate = Gate()


def fresh_gate() -> Gate:
    """One for each test, because an event belongs to one loop."""
    global gate
    gate = Gate()
    return gate


async def held(name: str = "") -> str:
    gate.begun += 1
    gate.began.set()
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
