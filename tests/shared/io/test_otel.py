"""The spans as a collector sees them: from memory, and once by OTLP over a real socket."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from shared.io.build import own_version
from shared.io.otel import OtelTracer, QuietExporter, otlp_exporter
from shared.io.tracing import begin_span
from tests.fakes.counters import Gained
from tests.fakes.otlp_collector import otlp_collector
from tests.fakes.traces import Spans, id_of, lasted, parent_of, trace_of, traced

BEGAN = 1_000_000.0
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = PARENT[:-2] + "00"


def tell(tracer: OtelTracer) -> None:
    span = tracer.begin("session", BEGAN, "", "", {"session.id": "s1"})
    span.child("turn", BEGAN + 1).end(BEGAN + 2)
    span.end(BEGAN + 3)
    span.end(BEGAN + 4)
    tracer.close()


def test_a_span_has_the_times_that_it_was_given_and_ends_once() -> None:
    spans = Spans()
    tell(spans.tracer)
    session, turn = spans.named("session"), spans.named("turn")
    assert (lasted(session), lasted(turn)) == ((BEGAN, BEGAN + 3), (BEGAN + 1, BEGAN + 2))
    assert (parent_of(session), parent_of(turn)) == (None, id_of(session))
    assert (turn.kind, session.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)


def test_a_span_of_another_process_is_the_parent() -> None:
    with traced() as first:
        ours = begin_span("session_setup", BEGAN, session="s1")
        ours.end(BEGAN + 1)
    with traced() as second:
        begin_span("media_setup", BEGAN, session="s1", parent=ours.traceparent).end(BEGAN + 1)
    theirs = second.named("media_setup")
    assert parent_of(theirs) == id_of(first.named("session_setup"))
    assert trace_of(theirs) == trace_of(first.named("session_setup"))


@pytest.mark.parametrize("parent", ["", "nonsense", PARENT[:-1], "00-" + "0" * 32 + PARENT[35:], "x" * 600])
def test_a_malformed_parent_is_none(parent: str, caplog: pytest.LogCaptureFixture) -> None:
    with traced() as spans:
        begin_span("media_setup", BEGAN, session="s1", parent=parent).end(BEGAN + 1)
    assert parent_of(spans.named("media_setup")) is None


def test_the_parent_decides_whether_a_trace_is_sampled() -> None:
    with traced() as spans:
        span = begin_span("media_setup", BEGAN, session="s1", parent=NOT_SAMPLED)
        span.child("offer", BEGAN).end(BEGAN + 1)
        span.end(BEGAN + 1)
    assert spans.all() == ()
    assert (span.traceparent[:36], span.traceparent[-3:]) == (NOT_SAMPLED[:36], "-00")


def test_the_sdks_own_variable_sets_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with traced() as spans:
        span = begin_span("session_setup", BEGAN)
        span.end(BEGAN + 1)
    assert spans.all() == ()
    assert span.traceparent.endswith("-00") or span.traceparent.endswith("-02")


def test_a_link_is_neither_parent_nor_a_say_in_sampling() -> None:
    with traced() as spans:
        begin_span("session_setup", BEGAN, link=NOT_SAMPLED).end(BEGAN + 1)
    span = spans.named("session_setup")
    (link,) = span.links
    assert f"{link.context.trace_id:032x}" == NOT_SAMPLED[3:35] != f"{trace_of(span):032x}"
    assert parent_of(span) is None


def test_a_failure_has_its_code() -> None:
    with traced() as spans:
        begin_span("media_setup", BEGAN).end(BEGAN + 1, {"antiphon.places": 2}, error="dtls_failed")
    span = spans.named("media_setup")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "dtls_failed")
    assert dict(span.attributes or {}) == {"antiphon.places": 2, "error.type": "dtls_failed"}


class Collector(SpanExporter):
    """A collector that is reachable or not."""

    def __init__(self) -> None:
        self.away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE if self.away else SpanExportResult.SUCCESS


def test_an_unreachable_collector_is_logged_once_and_lost_spans_are_counted() -> None:
    collector = Collector()
    exporter = QuietExporter(collector)
    told = Spans()
    tell(told.tracer)
    lost = Gained("antiphon_trace_spans_lost_total")
    with capture_logs() as logs:
        for away in (False, True, True, False, False):
            collector.away = away
            exporter.export(told.all())
    assert [line["event"] for line in logs] == ["trace_collector_away", "trace_collector_back"]
    assert lost() == 2 * len(told.all())


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_a_collector_receives_the_spans_by_otlp(path: str) -> None:
    with otlp_collector() as collector:
        tell(OtelTracer(otlp_exporter(collector.endpoint + path), "pipeline-worker", "w1"))
        ((requested, content),) = collector.requests
        assert requested == "/v1/traces"
        assert [(each.service, each.span.name) for each in collector.spans()] == [
            ("antiphon-pipeline-worker", "turn"),
            ("antiphon-pipeline-worker", "session"),
        ]
    (resource,) = content.resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (named["service.instance.id"], named["service.version"]) == ("w1", own_version())
