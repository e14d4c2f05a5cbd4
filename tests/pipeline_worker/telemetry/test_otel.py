"""The spans as a collector sees them: from memory, and once by OTLP over a real socket."""

import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from pipeline_worker.telemetry.otel import OtelTracer, QuietExporter, otlp_exporter
from pipeline_worker.telemetry.turn_metrics import Span, Turn
from shared.agent import AgentDefinition, EngineChoice
from tests.fakes.counters import Gained

BEGAN = 1_000_000.0
AGENT = AgentDefinition(
    id="front-desk",
    name="Front desk",
    language_model=EngineChoice(engine="openai", options={"model": "small", "instructions": "a secret"}),
)
TURN = Turn(
    number=1,
    began_s=BEGAN,
    ended_s=BEGAN + 5,
    spans=(
        Span("endpoint", BEGAN, BEGAN + 0.5),
        Span("stt_final", BEGAN + 0.5, BEGAN + 0.6),
        Span("llm_first_token", BEGAN + 0.6, BEGAN + 0.8),
        Span("tts_first_audio", BEGAN + 0.8, BEGAN + 0.9),
        Span("first_packet", BEGAN + 0.9, BEGAN + 0.95),
    ),
    first_audio_s=0.95,
    interrupted=True,
    speculative_hit=False,
    false_interruptions=2,
    resumed=3,
)
GREETING = Turn(1, BEGAN, BEGAN + 2, (), None, False, False)


def tell(tracer: OtelTracer, *sessions: str, turns: Sequence[Turn] = (TURN,)) -> None:
    for session_id in sessions:
        session = tracer.begin_session(session_id, AGENT.id, BEGAN - 1)
        for turn in turns:
            session.turn(turn)
        session.end(BEGAN + 10)
        session.end(BEGAN + 20)
    tracer.close()


def exported(*sessions: str, turns: Sequence[Turn] = (TURN,)) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    tell(OtelTracer(exporter, "w1", {AGENT.id: AGENT}), *sessions, turns=turns)
    return list(exporter.get_finished_spans())


def named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (span,) = [span for span in spans if span.name == name]
    return span


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def own(span: ReadableSpan) -> int | None:
    return span.context.span_id if span.context is not None else None


def test_a_session_is_a_trace_of_turns_of_stages() -> None:
    spans = exported("s1")
    session, turn = named(spans, "session"), named(spans, "turn")
    assert parent(session) is None
    assert parent(turn) == own(session)
    stages = [span for span in spans if parent(span) == own(turn)]
    assert [span.name for span in stages] == [span.stage for span in TURN.spans]
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    assert len(spans) == 7


def test_each_session_has_its_own_trace() -> None:
    spans = exported("s1", "s2", turns=())
    assert len({span.context.trace_id for span in spans if span.context}) == 2


def test_times_are_those_that_were_measured() -> None:
    spans = exported("s1")
    token = named(spans, "llm_first_token")
    assert (token.start_time, token.end_time) == (round((BEGAN + 0.6) * 1e9), round((BEGAN + 0.8) * 1e9))
    session = named(spans, "session")
    assert (session.start_time, session.end_time) == (round((BEGAN - 1) * 1e9), round((BEGAN + 10) * 1e9))


def test_spans_name_the_agent_and_the_engine() -> None:
    spans = exported("s1")
    assert all((span.attributes or {})["session.id"] == "s1" for span in spans)
    assert all((span.attributes or {})["gen_ai.agent.id"] == "front-desk" for span in spans)
    turn = dict(named(spans, "turn").attributes or {})
    assert turn["antiphon.turn.number"] == 1
    assert turn["antiphon.turn.interrupted"] is True
    assert (turn["antiphon.turn.false_interruptions"], turn["antiphon.turn.resumed"]) == (2, 3)
    assert turn["antiphon.turn.first_audio_s"] == 0.95
    token = dict(named(spans, "llm_first_token").attributes or {})
    assert token["gen_ai.operation.name"] == "chat"
    assert (token["gen_ai.provider.name"], token["gen_ai.request.model"]) == ("openai", "small")
    speech = dict(named(spans, "stt_final").attributes or {})
    assert speech["gen_ai.provider.name"] == "moonshine"
    assert "gen_ai.request.model" not in speech
    resource = spans[0].resource.attributes
    assert (resource["service.name"], resource["service.instance.id"]) == ("antiphon-pipeline-worker", "w1")


def test_spans_show_no_engine_option_but_the_model() -> None:
    assert "secret" not in "".join(span.to_json() for span in exported("s1"))


def test_a_turn_without_measurements_has_no_stages() -> None:
    turn = named(exported("s1", turns=(GREETING,)), "turn")
    assert "antiphon.turn.first_audio_s" not in (turn.attributes or {})


class Collector(SpanExporter):
    """A collector that is reachable or not."""

    def __init__(self) -> None:
        self.away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE if self.away else SpanExportResult.SUCCESS


def test_an_unreachable_collector_is_logged_once_and_lost_spans_are_counted() -> None:
    collector = Collector()
    exporter = QuietExporter(collector)
    spans = exported("s1")
    lost = Gained("antiphon_trace_spans_lost_total")
    with capture_logs() as logs:
        for away in (False, True, True, False, False):
            collector.away = away
            exporter.export(spans)
    assert [line["event"] for line in logs] == ["trace_collector_away", "trace_collector_back"]
    assert lost() == 2 * len(spans)


class LoopbackCollector(ThreadingHTTPServer):
    """Takes OTLP over HTTP on 127.0.0.1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, ExportTraceServiceRequest]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackCollector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class' name)
        pass


@pytest.fixture
def collector() -> Iterator[LoopbackCollector]:
    with LoopbackCollector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_a_collector_receives_the_spans_by_otlp(collector: LoopbackCollector, path: str) -> None:
    tell(OtelTracer(otlp_exporter(collector.endpoint + path), "w1", {AGENT.id: AGENT}), "s1")
    (request,) = collector.requests
    assert request[0] == "/v1/traces"
    (resource,) = request[1].resource_spans
    (scope,) = resource.scope_spans
    assert scope.scope.name == "antiphon"
    assert [span.name for span in scope.spans] == [*(span.stage for span in TURN.spans), "turn", "session"]
    assert {span.trace_id for span in scope.spans} == {scope.spans[0].trace_id}
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.instance.id"] == "w1"
