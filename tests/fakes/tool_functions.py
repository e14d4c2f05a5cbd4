"""Python functions such as operators write them, for agents' `python: tests.fakes.tool_functions:...`."""

import asyncio
import sys
from typing import Any, NamedTuple

from pipeline_worker.tools.outcome import ToolContext

NOT_CALLABLE = 1


class Gate:
    """Holds `held` back, and tells how often it began and ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()


gate = Gate()


def fresh_gate() -> Gate:
    """For each test its own: an event belongs to one loop."""
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


def unprintable() -> object:
    return object()


def endless() -> str:
    return "x" * 100_000


class _Callable(NamedTuple):
    word: str

    async def __call__(self) -> str:
        return self.word


an_object = _Callable("from an object")
