"""Traces sessions if an endpoint is configured. Otherwise nothing is imported."""

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
"""Time to send the last spans when the process ends."""

log = get_logger()


class SessionTrace(Protocol):
    """The trace of one session. Its methods neither block nor raise. Times are Unix seconds."""

    def turn(self, turn: Turn) -> None: ...

    def end(self, at_s: float) -> None:
        """Idempotent."""


class Tracer(Protocol):
    """The part of `otel.OtelTracer` that is used here."""

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
"""One for the process, like the Prometheus registry, so that it is not passed through every constructor."""


def begin_session(session_id: str, agent_id: str, at_s: float) -> SessionTrace:
    """The trace of a session that begins at `at_s`. It does nothing if this process does not trace."""
    return _NO_TRACE if _tracer is None else _tracer.begin_session(session_id, agent_id, at_s)


def open_tracer(settings: PipelineSettings, worker_id: str, agents: Mapping[str, AgentDefinition]) -> Tracer | None:
    """None without an endpoint. Raises `ConfigError` for a bad URL or a missing extra, not for an absent collector."""
    endpoint = settings.otel_endpoint
    if not endpoint:
        return None
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise ConfigError(
            f"ANTIPHON_OTEL_ENDPOINT: {endpoint!r} is not the address of an OTLP/HTTP collector, such as http://127.0.0.1:4318"
        )
    try:
        from pipeline_worker.telemetry import otel
    except ImportError as error:
        raise ConfigError(
            f"ANTIPHON_OTEL_ENDPOINT is set, but {error.name} is not installed: "
            "install antiphon[otel], or unset it to run without traces"
        ) from error
    return otel.OtelTracer(otel.otlp_exporter(endpoint), worker_id, agents)


@contextlib.asynccontextmanager
async def tracing(tracer: Tracer | None) -> AsyncIterator[None]:
    """Trace the sessions of this process by `tracer` while entered. Leaving closes it, in bounded time."""
    global _tracer
    _tracer = tracer
    try:
        yield
    finally:
        _tracer = None
        if tracer is not None:
            # In a daemon thread, because a dead collector must not keep the process from ending.
            closing = threading.Thread(target=tracer.close, name="close-tracer", daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, _CLOSE_S)
            if closing.is_alive():
                log.warning("last_spans_lost")
