"""The guard of an engine: deadlines, a circuit breaker, and metrics of failures.

The deadline is on the first output, because until then the caller hears silence. After it an answer may take any time,
as long as it does not stall.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import Counter, Histogram

from pipeline_worker.engines.circuit_breaker import CircuitBreaker
from shared.errors import EngineError
from shared.io.logs import get_logger

STALL_S = 10.0
CLOSE_S = 2.0
"""How long an engine may take to close."""

_failures = Counter(
    "antiphon_engine_failures_total",
    "Failures of engines, also those that a fallback covered",
    ["kind", "engine", "code"],
)
_fallbacks = Counter(
    "antiphon_engine_fallbacks_total",
    "Requests that went to a fallback, by the engine that it replaced",
    ["kind", "engine"],
)
_first_output = Histogram(
    "antiphon_engine_first_output_seconds",
    "From the request to an engine's first output; for speech to text from the end of speech to the final text",
    ["kind", "engine"],
    buckets=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10),
)

T = TypeVar("T")
_Engine = TypeVar("_Engine", covariant=True)

log = get_logger()


class _End(Enum):
    END = 0


class EngineGuard:
    """Guards one engine of one agent, for all its sessions. `kind` is its section in the agent file."""

    def __init__(self, kind: str, engine: str, first_output_s: float, stall_s: float = STALL_S) -> None:
        self.kind = kind
        self.engine = engine
        self.first_output_s = first_output_s
        self.stall_s = stall_s
        self._breaker = CircuitBreaker()

    def admits(self) -> bool:
        """Whether to ask this engine now, rather than its fallback."""
        return self._breaker.admits(_now())

    def stood_in_for(self) -> None:
        """Its fallback is asked."""
        _fallbacks.labels(self.kind, self.engine).inc()

    async def outputs(self, outputs: AsyncGenerator[T, None], counts: Callable[[T], bool]) -> AsyncGenerator[T, None]:
        """Passes `outputs` on, if the first that `counts` meets its deadline and none stalls.

        Nothing is passed on before an output counts, so a caller that got nothing can ask another engine. Closes
        `outputs`. Raises `EngineError`.
        """
        asked_at = _now()
        patience_s, due = self.first_output_s, asked_at + self.first_output_s
        held: list[T] = []
        started = failed = False
        try:
            while True:
                async with self._judged(due, patience_s):
                    output = await anext(outputs, _End.END)
                if output is _End.END:
                    break
                if not started and not counts(output):
                    held.append(output)
                    continue
                if not started:
                    started = True
                    self.observe_first_output(_now() - asked_at)
                    for earlier in held:
                        yield earlier
                yield output
                patience_s, due = self.stall_s, _now() + self.stall_s
            if not started:
                started = True
                for earlier in held:
                    yield earlier
        except EngineError:
            failed = True
            raise
        finally:
            if started and not failed:
                self.succeeded()
            await self.let_go(outputs.aclose())

    async def answer(self, answer: Awaitable[T]) -> T:
        """`answer`, within the deadline for a first output. Raises `EngineError`."""
        async with self._judged(_now() + self.first_output_s, self.first_output_s):
            return await answer

    async def let_go(self, closing: Awaitable[None]) -> None:
        """Waits for an engine to close, but not for long. Errors in closing are only logged."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await closing
        except Exception as error:  # noqa: BLE001 - also a fault of its own
            log.info("engine_not_closed", kind=self.kind, engine=self.engine, error=repr(error))

    def succeeded(self) -> None:
        if self._breaker.is_open:
            log.info("engine_is_back", kind=self.kind, engine=self.engine)
        self._breaker.succeeded()

    def observe_first_output(self, seconds: float) -> None:
        _first_output.labels(self.kind, self.engine).observe(seconds)

    @asynccontextmanager
    async def _judged(self, due: float, patience_s: float) -> AsyncIterator[None]:
        """Counts a failure or a missed deadline of the engine, and raises it as `EngineError`."""
        try:
            async with asyncio.timeout_at(due):
                yield
        except EngineError as error:
            self._failed(error.code, error.message)
            raise
        except TimeoutError as error:
            message = f"the {self} gave nothing for {patience_s:g} s"
            self._failed("engine_timeout", message)
            raise EngineError(message, code="engine_timeout") from error
        except Exception as error:
            # A bug in an engine costs one turn at most, never the session.
            log.exception("engine_fault", kind=self.kind, engine=self.engine)
            message = f"the {self} failed by a fault of its own ({type(error).__name__})"
            self._failed("engine_broken", message)
            raise EngineError(message, code="engine_broken") from error

    def _failed(self, code: str, message: str) -> None:
        was_open = self._breaker.is_open
        self._breaker.failed(_now())
        _failures.labels(self.kind, self.engine, code).inc()
        opened = self._breaker.is_open and not was_open
        log.warning(
            "engine_attempt_failed", kind=self.kind, engine=self.engine, code=code, error=message, given_up=opened
        )

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} engine '{self.engine}'"


class Guarded(NamedTuple, Generic[_Engine]):
    """An engine and its guard."""

    engine: _Engine
    guard: EngineGuard


def _now() -> float:
    return asyncio.get_running_loop().time()
