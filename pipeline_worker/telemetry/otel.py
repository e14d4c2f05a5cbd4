"""OpenTelemetry: one trace per session, a span per turn, a span per stage of it, sent by OTLP over HTTP.

The spans of a turn are created after it, from recorded times, so tracing adds no delay. They hold times and engines,
never what was said. A stage's span ends with its first output.

Attributes follow OpenTelemetry's conventions for sessions and generative AI (`session.id`, `gen_ai.*`); the others are
under `antiphon.`.

Needs the extra `otel`. Only `tracing` imports this, and only if it is used.
"""

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, set_span_in_context
from opentelemetry.trace import Tracer as ApiTracer
from opentelemetry.util.types import AttributeValue
from prometheus_client import Counter

from pipeline_worker.telemetry.turn_metrics import Stage, Turn
from shared.agent import AgentDefinition, EngineChoice
from shared.io.logs import get_logger

_QUEUE_SPANS = 4096
"""About 700 turns. While the collector is away, newer spans replace older ones."""
_BATCH_SPANS = 512
_BATCH_MS = 5_000
_EXPORT_S = 5.0

_lost = Counter("antiphon_trace_spans_lost_total", "Spans that could not be sent to the collector")

log = get_logger()

Attributes = dict[str, AttributeValue]


def otlp_exporter(endpoint: str) -> SpanExporter:
    """`endpoint` is the collector's address, to which the path of traces is appended (OTLP 1.x, OTLP/HTTP request)."""
    path = "/v1/traces"
    url = endpoint.rstrip("/")
    return QuietExporter(OTLPSpanExporter(url if url.endswith(path) else url + path, timeout=_EXPORT_S))


class OtelTracer:
    """The tracer of a process. A thread of the SDK sends the spans in batches; a full queue drops the oldest."""

    def __init__(self, exporter: SpanExporter, worker_id: str, agents: Mapping[str, AgentDefinition]) -> None:
        resource = Resource.create({"service.name": "antiphon-pipeline-worker", "service.instance.id": worker_id})
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
        self._agents = agents

    def begin_session(self, session_id: str, agent_id: str, at_s: float) -> "OtelSession":
        return OtelSession(self._tracer, session_id, self._agents[agent_id], at_s)

    def close(self) -> None:
        """Send what is left. Blocks, at most 30 s."""
        self._provider.shutdown()


class OtelSession:
    def __init__(self, tracer: ApiTracer, session_id: str, agent: AgentDefinition, at_s: float) -> None:
        self._tracer = tracer
        self._common: Attributes = {
            "session.id": session_id,
            "gen_ai.conversation.id": session_id,
            "gen_ai.agent.id": agent.id,
        }
        self._stages = _stage_attributes(agent)
        self._root = tracer.start_span("session", Context(), attributes=self._common, start_time=_ns(at_s))
        self._in_session = set_span_in_context(self._root, Context())

    def turn(self, turn: Turn) -> None:
        attributes: Attributes = {
            **self._common,
            "gen_ai.operation.name": "invoke_agent",
            "antiphon.turn.number": turn.number,
            "antiphon.turn.interrupted": turn.interrupted,
            "antiphon.turn.false_interruptions": turn.false_interruptions,
            "antiphon.turn.resumed": turn.resumed,
            "antiphon.turn.speculative_hit": turn.speculative_hit,
        }
        if turn.first_audio_s is not None:
            attributes["antiphon.turn.first_audio_s"] = turn.first_audio_s
        whole = self._tracer.start_span("turn", self._in_session, attributes=attributes, start_time=_ns(turn.began_s))
        in_turn = set_span_in_context(whole, self._in_session)
        for span in turn.spans:
            stage = self._tracer.start_span(
                span.stage,
                in_turn,
                kind=SpanKind.CLIENT if span.stage in self._stages else SpanKind.INTERNAL,
                attributes={**self._common, **self._stages.get(span.stage, {})},
                start_time=_ns(span.began_s),
            )
            stage.end(_ns(span.ended_s))
        whole.end(_ns(turn.ended_s))

    def end(self, at_s: float) -> None:
        if self._root.is_recording():
            self._root.end(_ns(at_s))


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


def _stage_attributes(agent: AgentDefinition) -> dict[Stage, Attributes]:
    return {
        "stt_final": _engine_attributes(agent.speech_to_text),
        "llm_first_token": {**_engine_attributes(agent.language_model), "gen_ai.operation.name": "chat"},
        "tts_first_audio": _engine_attributes(agent.text_to_speech),
    }


def _engine_attributes(choice: EngineChoice) -> Attributes:
    """As in the agent file: it is not known here whether an engine or its fallback served."""
    model = choice.options.get("model")
    named: Attributes = {"gen_ai.request.model": model} if isinstance(model, str) else {}
    return {"gen_ai.provider.name": choice.engine, **named}


def _ns(unix_s: float) -> int:
    return round(unix_s * 1e9)
