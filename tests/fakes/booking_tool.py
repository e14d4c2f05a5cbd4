"""A tool with side effects that never ends."""

import asyncio

booked: list[str] = []


async def book(name: str) -> str:
    booked.append(name)
    await asyncio.Event().wait()
    return "booked"
