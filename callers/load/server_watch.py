"""What the target's processes use: by their metrics, by the gateway's list of workers, or as processes of this machine.

All are asked once a second. What cannot be read is absent.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from callers.load.local_processes import LocalProcesses
from callers.load.prometheus_text import Metrics
from callers.load.results import Role, ServerLoad
from callers.load.server_sample import ProcessSample, ServerSample, load_between, process_sample

_TIMEOUT_S = 2.0
_EVERY_S = 1.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_KINDS: dict[str, Role] = {"gateway": "gateway", "media": "media_worker", "pipeline": "pipeline_worker"}


class ServerWatch:
    """`begin`, and then `load` is the average since then; `now` is of the last second. None if nothing can be read."""

    def __init__(self, url: str, metrics: Sequence[str] = (), api_key: str = "") -> None:
        self._metrics = metrics
        self._workers_url = f"{url.rstrip('/')}/api/workers"
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._asks_gateway = True
        parts = urlsplit(url)
        self._local: LocalProcesses | None = None
        if not metrics and parts.hostname in _LOOPBACK and parts.port:
            self._local = LocalProcesses(parts.port)
        self._first = self._before = self._latest = ServerSample(time.monotonic())
        self._lags_ms: dict[Role, list[float]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
            self._latest = await self._sample(http)
            task = asyncio.create_task(self._run(http))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def begin(self) -> None:
        self._first, self._lags_ms = self._latest, {}

    def load(self) -> ServerLoad | None:
        worst_ms = {role: sorted(lags)[round(0.95 * (len(lags) - 1))] for role, lags in self._lags_ms.items()}
        last = ServerSample(self._latest.at_s, self._latest.processes, worst_ms)
        return load_between(self._first, last)

    def now(self) -> ServerLoad | None:
        return load_between(self._before, self._latest)

    async def _run(self, http: httpx.AsyncClient) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            self._before, self._latest = self._latest, await self._sample(http)
            for role, lag_ms in self._latest.worst_lag_ms.items():
                self._lags_ms.setdefault(role, []).append(lag_ms)

    async def _sample(self, http: httpx.AsyncClient) -> ServerSample:
        at_s = time.monotonic()
        scraped = await asyncio.gather(*(_scraped(http, url) for url in self._metrics))
        processes = {url: sample for url, sample in zip(self._metrics, scraped, strict=True) if sample is not None}
        if self._local is not None:
            processes |= self._local.samples()
        return ServerSample(at_s, processes, await self._worst_lags_ms(http) if self._asks_gateway else {})

    async def _worst_lags_ms(self, http: httpx.AsyncClient) -> dict[Role, float]:
        """By the gateway, which says so to operators alone."""
        found: dict[Role, float] = {}
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
            answer = await http.get(self._workers_url, headers=self._headers)
            self._asks_gateway = answer.status_code not in (401, 403, 404)
            for worker in answer.json().get("workers", []):
                role = _KINDS[worker["kind"]]
                found[role] = max(found.get(role, 0.0), float(worker["lagMs"]))
        return found


async def _scraped(http: httpx.AsyncClient, url: str) -> ProcessSample | None:
    with contextlib.suppress(httpx.HTTPError):
        answer = await http.get(url)
        if answer.status_code == 200:
            return process_sample(Metrics(answer.text))
    return None
