"""OpenTelemetry: spans of this process, sent by OTLP over HTTP. Times come from the caller, so tracing adds no delay.

Needs the extra `otel`. Only `tracing` imports this, and only if it is used.
"""

import logging
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import Tracer as ApiTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter

from shared.io.build import own_version
from shared.io.logs import get_logger
from shared.io.tracing import NO_ATTRIBUTES, Attributes

_QUEUE_SPANS = 4096
"""About 700 turns. While the collector is away, newer spans replace older ones."""
_BATCH_SPANS = 512
_BATCH_MS = 5_000
_EXPORT_S = 5.0

_lost = Counter("antiphon_trace_spans_lost_total", "Spans that could not be sent to the collector")
_propagator = TraceContextTextMapPropagator()

log = get_logger()


def otlp_exporter(endpoint: str) -> SpanExporter:
    """`endpoint` is the collector's address, to which the path of traces is appended (OTLP 1.x, OTLP/HTTP request)."""
    path = "/v1/traces"
    url = endpoint.rstrip("/")
    return QuietExporter(OTLPSpanExporter(url if url.endswith(path) else url + path, timeout=_EXPORT_S))


class OtelTracer:
    """The tracer of a process. A thread of the SDK sends the spans in batches; a full queue drops the oldest."""

    def __init__(self, exporter: SpanExporter, service: str, worker_id: str) -> None:
        resource = Resource.create(
            {
                "service.name": f"antiphon-{service}",
                "service.instance.id": worker_id,
                "service.version": own_version(),
            }
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=_QUEUE_SPANS,
                schedule_delay_millis=_BATCH_MS,
                max_export_batch_size=_BATCH_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("antiphon")

    def begin(self, name: str, at_s: float, parent: str, link: str, attributes: Attributes) -> "OtelSpan":
        linked = get_current_span(_context_of(link)).get_span_context()
        return OtelSpan(
            self._tracer,
            self._tracer.start_span(
                name,
                _context_of(parent),
                attributes=attributes,
                links=[Link(linked)] if linked.is_valid else [],
                start_time=_ns(at_s),
            ),
        )

    def close(self) -> None:
        """Send what is left. Blocks, at most 30 s."""
        self._provider.shutdown()


class OtelSpan:
    def __init__(self, tracer: ApiTracer, span: ApiSpan) -> None:
        self._tracer = tracer
        self._span = span
        self._context = set_span_in_context(span, Context())

    @property
    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, self._context)
        return carrier["traceparent"]

    def child(
        self, name: str, began_s: float, attributes: Attributes = NO_ATTRIBUTES, is_client: bool = False
    ) -> "OtelSpan":
        kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
        span = self._tracer.start_span(name, self._context, kind=kind, attributes=attributes, start_time=_ns(began_s))
        return OtelSpan(self._tracer, span)

    def end(self, at_s: float, attributes: Attributes = NO_ATTRIBUTES, error: str = "") -> None:
        if not self._span.is_recording():
            return
        self._span.set_attributes(attributes)
        if error:
            self._span.set_status(StatusCode.ERROR, error)
            self._span.set_attribute("error.type", error)
        self._span.end(_ns(at_s))


class QuietExporter(SpanExporter):
    """Logs once that the collector is away, where the SDK's exporter does for every batch. Counts lost spans."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._away = False
        logging.getLogger(type(exporter).__module__).addFilter(lambda _: not self._away)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        away = result is not SpanExportResult.SUCCESS
        if away:
            _lost.inc(len(spans))
        if away != self._away:
            self._away = away
            log.warning("trace_collector_away" if away else "trace_collector_back")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _context_of(traceparent: str) -> Context:
    """Empty for one that is malformed."""
    return _propagator.extract({"traceparent": traceparent}, Context()) if traceparent else Context()


def _ns(unix_s: float) -> int:
    return round(unix_s * 1e9)
