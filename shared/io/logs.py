"""One log line per event, as JSON for machines or aligned text for people."""

import io
import logging
import re
import sys
from typing import TextIO

import structlog

from shared.terminal_text import escaped

_LEAST_LEVELS = {
    **dict.fromkeys(("aiortc", "aioice", "httpx", "httpcore", "uvicorn.access"), logging.WARNING),
    # At the debug level these write what is sent: words of callers, and headers with keys.
    **dict.fromkeys(("websockets", "uvicorn.error", "livekit", "aiohttp"), logging.INFO),
}
_SAMPLED = re.compile("[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f][13579bdf]")
_TRACES_REMEMBERED = 10_000

_process: dict[str, str] = {}
"""What every line of this process says, those of other threads too, which have no context variables of ours."""
_traces: dict[str, str] = {}
"""The trace of each session that was traced here lately."""


def name_process(**names: str) -> None:
    """Add these to every line from now on (service, worker_id)."""
    _process.update(names)


def show_trace(session: str, traceparent: str) -> None:
    """Add the `trace_id` to the lines of this session, if the trace is sampled (W3C Trace Context §3.2)."""
    if sampled := _SAMPLED.fullmatch(traceparent):
        _traces[session] = sampled[1]
        if len(_traces) > _TRACES_REMEMBERED:
            del _traces[next(iter(_traces))]


def configure_logs(level: str, log_format: str, service: str) -> None:
    """Send structlog and the standard library's loggers to stderr."""
    name_process(service=service)
    shared_processors: list[structlog.typing.Processor] = [
        _name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Local variables could contain keys, and what people said.
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    renderer: list[structlog.typing.Processor] = (
        [tracebacks, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [
            _escape_values,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), pad_event_to=32, exception_formatter=_write_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[*shared_processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for library, least in _LEAST_LEVELS.items():
        logging.getLogger(library).setLevel(max(least, root.level))


def get_logger() -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def _name(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Which process says it, and in which trace."""
    trace_id = _traces.get(event.get("session_id", ""))
    return {**_process, **event, **({"trace_id": trace_id} if trace_id else {})}


def _escape_values(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What models, vendors and callers wrote must not move the cursor, nor look like another event."""
    # Structlog prints these three itself: the first is not text, the others are our source code.
    ours = ("exc_info", "exception", "stack")
    return {key: value if key in ours else escaped(_text(value)) for key, value in event.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _write_traceback(out: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Indented, because the text of an exception may have lines that look like events."""
    traceback = io.StringIO()
    structlog.dev.plain_traceback(traceback, exc_info)
    for line in traceback.getvalue().strip("\n").split("\n"):
        out.write("\n    " + escaped(line, keep="\t"))
