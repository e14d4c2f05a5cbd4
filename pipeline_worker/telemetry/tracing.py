"""Whether this process traces its sessions: only with an endpoint to send to, else nothing is even imported."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from pipeline_worker.settings import PipelineSettings
from pipeline_worker.telemetry.turn_metrics import Turn
from shared.agent import AgentDefinition
from shared.errors import ConfigError
from shared.io.logs import get_logger

_CLOSE_S = 3.0
"""For the last spans, when the process ends."""

log = get_logger()


class SessionTrace(Protocol):
    """One session's trace. Neither method waits or raises. Times are the Unix clock's, in seconds."""

    def turn(self, turn: Turn) -> None: ...

    def end(self, at_s: float) -> None:
        """Idempotent."""


class Tracer(Protocol):
    """`otel_trace.OtelTracer`."""

    def begin_session(self, session_id: str, agent_id: str, at_s: float) -> SessionTrace: ...

    def close(self) -> None:
        """Send what is left. Blocks."""


class _NoTrace:
    def turn(self, turn: Turn) -> None:
        pass

    def end(self, at_s: float) -> None:
        pass


_NO_TRACE = _NoTrace()
_tracer: Tracer | None = None
"""The process', as its Prometheus registry is: who measures need not be told where it goes."""


def begin_session(session_id: str, agent_id: str, at_s: float) -> SessionTrace:
    """The trace of a session that begins at `at_s`; one that does nothing if this process does not trace."""
    return _NO_TRACE if _tracer is None else _tracer.begin_session(session_id, agent_id, at_s)


def open_tracer(settings: PipelineSettings, worker_id: str, agents: Mapping[str, AgentDefinition]) -> Tracer | None:
    """Raises `ConfigError`: no URL, or the extra is missing. A collector that is away is no error."""
    endpoint = settings.otel_endpoint
    if not endpoint:
        return None
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise ConfigError(
            f"ANTIPHON_OTEL_ENDPOINT: {endpoint!r} is no address of an OTLP/HTTP collector, such as http://127.0.0.1:4318"
        )
    try:
        from pipeline_worker.telemetry import otel as otel_trace
    except ImportError as error:
        raise ConfigError(
            f"ANTIPHON_OTEL_ENDPOINT is set, but {error.name} is not installed: "
            "install antiphon[otel], or unset it to run without traces"
        ) from error
    return otel_trace.OtelTracer(otel_trace.otlp_exporter(endpoint), worker_id, agents)


@contextlib.asynccontextmanager
async def tracing(tracer: Tracer | None) -> AsyncIterator[None]:
    """While entered, sessions of this process are traced by `tracer`, which is closed at the end, in bounded time."""
    global _tracer
    _tracer = tracer
    try:
        yield
    finally:
        _tracer = None
        if tracer is not None:
            # A thread of its own: one that hangs on a dead collector must not keep the process from ending.
            closing = threading.Thread(target=tracer.close, name="close-tracer", daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, _CLOSE_S)
            if closing.is_alive():
                log.warning("last_spans_lost")
