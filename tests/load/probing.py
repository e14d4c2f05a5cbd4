"""Whether services answer their probes with 200, asked all the time."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

from tests.integration.deployment import Service

_EVERY_S = 0.5
_TIMEOUT_S = 2.0
_PATHS = ("/healthz", "/readyz")


class Probes:
    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._asked = self._failed = 0
        self.failures = 0
        """In all."""

    def taken(self) -> str:
        """How many were answered with 200, of all since the last time."""
        asked, failed, self._asked, self._failed = self._asked, self._failed, 0, 0
        return f"{asked - failed} of {asked}"

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Self]:
        task = asyncio.create_task(self._ask())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ask(self) -> None:
        while True:
            for service in self._services:
                for path in _PATHS:
                    answered = await asyncio.to_thread(_is_200, f"http://127.0.0.1:{service.probe_port}{path}")
                    self._asked += 1
                    self._failed += not answered
                    self.failures += not answered
            await asyncio.sleep(_EVERY_S)


def _is_200(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
