"""One log line per event, as JSON for machines or aligned text for people."""

import io
import logging
import sys
from typing import TextIO

import structlog

from shared.terminal_text import escaped

_LEAST_LEVELS = {
    **dict.fromkeys(("aiortc", "aioice", "httpx", "httpcore", "uvicorn.access"), logging.WARNING),
    # At the debug level these write what is sent: words of callers, and headers with keys.
    **dict.fromkeys(("websockets", "uvicorn.error", "livekit", "aiohttp"), logging.INFO),
}


def configure_logs(level: str, log_format: str, **bound: str) -> None:
    """Send structlog and the standard library's loggers to stderr. `bound` is added to every line (service, worker)."""
    shared_processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
    structlog.contextvars.bind_contextvars(**bound)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


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
