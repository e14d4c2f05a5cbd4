"""Spreads set-up work, so that a burst of callers does not delay the audio of those who talk."""

import asyncio


class Pacer:
    """Lets one step run at a time, in the order of `turn`. Between two of them the event loop does everything else."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until the next step may run."""
        async with self._lock:
            await asyncio.sleep(0)
