"""Guards an engine: deadlines, a circuit breaker, and metrics of its failures.

The deadline is for the first output, because until then the caller hears silence. An answer may take any time as long
as it keeps coming.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

from prometheus_client import Counter, Histogram

from pipeline_worker.engines.circuit_breaker import CircuitBreaker
from shared.errors import EngineError
from shared.io.fault import fault
from shared.io.logs import get_logger

STALL_S = 10.0
CLOSE_S = 2.0
"""How long closing an abandoned answer may take."""

_failures = Counter(
    "antiphon_engine_failures_total",
    "Failures of engines, also those that a fallback covered",
    ["kind", "engine", "code"],
)
_fallbacks = Counter(
    "antiphon_engine_fallbacks_total",
    "Questions that went to a fallback, by the engine it stood in for",
    ["kind", "engine"],
)
_first_output = Histogram(
    "antiphon_engine_first_output_seconds",
    "From the question to an engine's first output; for speech to text from the end of speech to the final text",
    ["kind", "engine"],
    buckets=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10),
)

T = TypeVar("T")
_Engine = TypeVar("_Engine", covariant=True)

log = get_logger()


class EngineGuard:
    """Guards one engine of one agent, for all its sessions. `kind` is its section in the agent file."""

    def __init__(self, kind: str, engine: str, first_output_s: float, stall_s: float = STALL_S) -> None:
        self.kind = kind
        self.engine = engine
        self.first_output_s = first_output_s
        self.stall_s = stall_s
        self._breaker = CircuitBreaker()

    def admits(self) -> bool:
        """Whether to ask this engine now, if there is a fallback."""
        return self._breaker.admits(_now())

    def count_fallback(self) -> None:
        """Counts a request that goes to the fallback."""
        _fallbacks.labels(self.kind, self.engine).inc()

    async def outputs(self, outputs: AsyncGenerator[T, None], counts: Callable[[T], bool]) -> AsyncGenerator[T, None]:
        """Yields `outputs`. The first that `counts` has a deadline, and so has each later one.

        Yields nothing before an output counts, so a caller without output may ask another engine. Closing this closes
        `outputs`. Raises `EngineError`.
        """
        asked_at = _now()
        patience_s, due = self.first_output_s, asked_at + self.first_output_s
        held: list[T] = []
        started = failed = False
        try:
            while True:
                with self.judged(patience_s):
                    async with asyncio.timeout_at(due):
                        try:
                            output = await anext(outputs)
                        except StopAsyncIteration:
                            break
                if not started and not counts(output):
                    held.append(output)
                    continue
                if not started:
                    started = True
                    self.observe_first_output(_now() - asked_at)
                    for earlier in held:
                        yield earlier
                given_at = _now()
                yield output
                if counts(output):
                    patience_s, due = self.stall_s, _now() + self.stall_s
                else:
                    due += _now() - given_at
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

    async def answer(self, answer: Coroutine[Any, Any, T]) -> T:
        """Awaits `answer` within the deadline for a first output. Raises `EngineError`.

        Most pushes to a recognizer return without waiting. They need no timer, which would cost more than the rest.
        """
        with self.judged(self.first_output_s):
            try:
                awaited = answer.send(None)
            except StopIteration as done:
                returned: T = done.value
                return returned
            async with asyncio.timeout(self.first_output_s):
                return await _Started(answer, awaited)

    def judged(self, patience_s: float) -> "_Judged":
        """A context whose errors are the engine's failures: counted, and raised as `EngineError`."""
        return _Judged(self, patience_s)

    async def let_go(self, closing: Awaitable[None]) -> None:
        """Awaits the end of an abandoned answer for `CLOSE_S`. Its errors are only logged."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await closing
        except Exception as error:  # noqa: BLE001 - also a bug of the engine
            log.info("engine_not_closed", kind=self.kind, engine=self.engine, error=fault(error))

    def succeeded(self) -> None:
        if self._breaker.is_open:
            log.info("engine_is_back", kind=self.kind, engine=self.engine)
        self._breaker.succeeded()

    def observe_first_output(self, seconds: float) -> None:
        _first_output.labels(self.kind, self.engine).observe(seconds)

    def failed(self, code: str, message: str) -> None:
        was_open = self._breaker.is_open
        self._breaker.failed(_now())
        _failures.labels(self.kind, self.engine, code).inc()
        opened = self._breaker.is_open and not was_open
        log.warning(
            "engine_attempt_failed", kind=self.kind, engine=self.engine, code=code, error=message, given_up=opened
        )

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} engine '{self.engine}'"


class _Judged:
    """See `EngineGuard.judged`. A class, not a generator, because it is entered for every push and output."""

    __slots__ = ("_guard", "_patience_s")

    def __init__(self, guard: EngineGuard, patience_s: float) -> None:
        self._guard = guard
        self._patience_s = patience_s

    def __enter__(self) -> None: ...

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        guard = self._guard
        if isinstance(error, EngineError):
            guard.failed(error.code, error.message)
        elif isinstance(error, TimeoutError):
            message = f"the {guard} gave nothing for {self._patience_s:g} s"
            guard.failed("engine_timeout", message)
            raise EngineError(message, code="engine_timeout") from error
        elif isinstance(error, Exception):
            # A bug in an engine costs its turn at most, never the session.
            log.error("engine_fault", kind=guard.kind, engine=guard.engine, error=fault(error))
            message = f"the {guard} failed by a fault of its own ({type(error).__name__})"
            guard.failed("engine_broken", message)
            raise EngineError(message, code="engine_broken") from error


class _Started(Generic[T]):
    """The rest of a coroutine whose first step has run and waits for `awaited`."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: object) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, None, T]:
        awaited = self._awaited
        try:
            while True:
                try:
                    yield awaited
                except BaseException as error:  # noqa: BLE001 - also a cancellation
                    awaited = self._coroutine.throw(error)
                else:
                    awaited = self._coroutine.send(None)
        except StopIteration as done:
            returned: T = done.value
            return returned


class Guarded(NamedTuple, Generic[_Engine]):
    """An engine and its guard."""

    engine: _Engine
    guard: EngineGuard


def _now() -> float:
    return asyncio.get_running_loop().time()
