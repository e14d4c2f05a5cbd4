"""Traces of sessions through all services, if a collector is configured. Otherwise nothing of OpenTelemetry is loaded.

Each service makes a span of its own and names it to the next one in a message, as a W3C `traceparent`. The session's
record keeps it, so a session that moves or is taken over stays in its trace. A process that does not trace passes on
what it was given.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

from shared.errors import ConfigError
from shared.io.logs import get_logger, show_trace

_CLOSE_S = 3.0
"""Time to send the last spans when the process ends."""

log = get_logger()

Attributes = Mapping[str, str | int | float | bool]
NO_ATTRIBUTES: Attributes = MappingProxyType({})


class Span(Protocol):
    """Its methods neither block nor raise. Times are Unix seconds, so a span may be made after what it tells of."""

    @property
    def traceparent(self) -> str:
        """For the spans of other processes in it (W3C Trace Context §3.2). Empty if nothing is traced."""

    def child(
        self, name: str, began_s: float, attributes: Attributes = NO_ATTRIBUTES, is_client: bool = False
    ) -> "Span":
        """`is_client`: it waits for another server."""

    def end(self, at_s: float, attributes: Attributes = NO_ATTRIBUTES, error: str = "") -> None:
        """Idempotent. `error` is a machine code; with it the span has failed."""


class Tracer(Protocol):
    """The part of `otel.OtelTracer` that is used here."""

    def begin(self, name: str, at_s: float, parent: str, link: str, attributes: Attributes) -> Span: ...

    def close(self) -> None:
        """Send what is left. Blocks."""


class _NoSpan:
    def __init__(self, parent: str) -> None:
        self.traceparent = parent

    def child(self, name: str, began_s: float, attributes: Attributes = NO_ATTRIBUTES, is_client: bool = False) -> Span:
        return self

    def end(self, at_s: float, attributes: Attributes = NO_ATTRIBUTES, error: str = "") -> None:
        pass


_tracer: Tracer | None = None
"""One for the process, like the Prometheus registry, so that it is not passed through every constructor."""


def begin_span(
    name: str,
    at_s: float,
    *,
    session: str = "",
    parent: str = "",
    link: str = "",
    attributes: Attributes = NO_ATTRIBUTES,
) -> Span:
    """A span that this process begins for a session, in the span `parent` of another process, or in a new trace.

    `link` is a related trace. Both are `traceparent`s; one that is malformed counts as none.
    """
    if session:
        attributes = {"session.id": session, **attributes}
    span = _NoSpan(parent) if _tracer is None else _tracer.begin(name, at_s, parent, link, attributes)
    if session:
        show_trace(session, span.traceparent)
    return span


def open_tracer(endpoint: str, service: str, worker_id: str) -> Tracer | None:
    """None without an endpoint. Raises `ConfigError` for a bad URL or a missing extra, not for an absent collector."""
    if not endpoint:
        return None
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise ConfigError(
            f"ANTIPHON_OTEL_ENDPOINT: {endpoint!r} is not the address of an OTLP/HTTP collector, such as http://127.0.0.1:4318"
        )
    try:
        from shared.io import otel
    except ImportError as error:
        raise ConfigError(
            f"ANTIPHON_OTEL_ENDPOINT is set, but {error.name} is not installed: "
            "install antiphon[otel], or unset it to run without traces"
        ) from error
    return otel.OtelTracer(otel.otlp_exporter(endpoint), service, worker_id)


@contextlib.asynccontextmanager
async def tracing(tracer: Tracer | None) -> AsyncIterator[None]:
    """Trace the sessions of this process by `tracer` while entered. Leaving closes it, in bounded time."""
    global _tracer
    if tracer is None:
        yield
        return
    _tracer = tracer
    try:
        yield
    finally:
        _tracer = None
        # In a daemon thread, because a dead collector must not keep the process from ending.
        closing = threading.Thread(target=tracer.close, name="close-tracer", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSE_S)
        if closing.is_alive():
            log.warning("last_spans_lost")
