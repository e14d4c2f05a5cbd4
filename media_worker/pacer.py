"""Spreads set-up work, so that a burst of callers does not delay the audio of those who talk."""

import asyncio

AT_ONCE = 4
"""Steps, of a quarter of a millisecond each. More would be noticed in a slot of 5 ms, fewer make set-ups slow when each
turn of the event loop takes milliseconds."""


class Pacer:
    """Lets a few steps run, in the order of `turn`. Then the event loop does everything else, before the next few."""

    def __init__(self) -> None:
        self._steps = asyncio.Semaphore(AT_ONCE)

    async def turn(self) -> None:
        """Wait until the next step may run."""
        async with self._steps:
            await asyncio.sleep(0)
