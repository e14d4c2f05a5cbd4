"""A tracer that keeps its spans in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.io import tracing
from shared.io.otel import OtelTracer


class Spans:
    """What was traced, once it is read for the first time."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(self._exporter, "test", "w1")

    def all(self) -> Sequence[ReadableSpan]:
        self.tracer.close()
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.all() if span.name == name]
        return span


@contextmanager
def traced() -> Iterator[Spans]:
    """This process traces while entered."""
    spans = Spans()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "_tracer", spans.tracer)
        yield spans
    spans.tracer.close()


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def lasted(span: ReadableSpan) -> tuple[float, float]:
    """Unix seconds at which it began and ended."""
    assert span.start_time is not None and span.end_time is not None
    return span.start_time / 1e9, span.end_time / 1e9
