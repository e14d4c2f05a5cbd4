"""The spans of a session and its turns."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from pipeline_worker.telemetry.session_trace import SessionTrace
from pipeline_worker.telemetry.turn_metrics import Span, Turn
from shared.agent import AgentDefinition, EngineChoice
from shared.events import StartPipeline
from tests.fakes.traces import Spans, id_of, lasted, parent_of, trace_of, traced

BEGAN = 1_000_000.0
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
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


def told(turn: Turn = TURN, how: str = "finished", epoch: int = 1) -> Spans:
    job = StartPipeline(
        session="s1", agent_id=AGENT.id, media_worker="m1", epoch=epoch, resumed=epoch > 1, traceparent=PARENT
    )
    with traced() as spans:
        trace = SessionTrace(AGENT, job, BEGAN - 1)
        trace.turn(turn)
        trace.end(BEGAN + 10, how)
    return spans


def stages_of(spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    return [span for span in spans if span.name not in ("session", "turn")]


def test_a_session_is_a_span_of_turns_of_stages() -> None:
    spans = told()
    session, turn = spans.named("session"), spans.named("turn")
    assert parent_of(turn) == id_of(session)
    stages = stages_of(spans.all())
    assert {parent_of(stage) for stage in stages} == {id_of(turn)}
    assert [stage.name for stage in stages] == [span.stage for span in TURN.spans]


def test_it_is_in_the_trace_of_the_media_worker() -> None:
    session = told().named("session")
    assert f"{trace_of(session):032x}" == PARENT[3:35]
    assert f"{parent_of(session):016x}" == PARENT[36:52]


def test_times_are_those_that_were_measured() -> None:
    spans = told()
    assert lasted(spans.named("llm_first_token")) == (BEGAN + 0.6, BEGAN + 0.8)
    assert lasted(spans.named("session")) == (BEGAN - 1, BEGAN + 10)


def test_spans_name_the_agent_and_the_engine() -> None:
    spans = told()
    assert all((span.attributes or {})["session.id"] == "s1" for span in spans.all())
    assert all((span.attributes or {})["gen_ai.agent.id"] == "front-desk" for span in spans.all())
    turn = dict(spans.named("turn").attributes or {})
    assert turn["antiphon.turn.number"] == 1
    assert turn["antiphon.turn.interrupted"] is True
    assert (turn["antiphon.turn.false_interruptions"], turn["antiphon.turn.resumed"]) == (2, 3)
    assert turn["antiphon.turn.first_audio_s"] == 0.95
    token = spans.named("llm_first_token")
    named = dict(token.attributes or {})
    assert named["gen_ai.operation.name"] == "chat"
    assert (named["gen_ai.provider.name"], named["gen_ai.request.model"]) == ("openai", "small")
    assert (token.kind, spans.named("endpoint").kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    speech = dict(spans.named("stt_final").attributes or {})
    assert speech["gen_ai.provider.name"] == "moonshine"
    assert "gen_ai.request.model" not in speech


def test_spans_show_no_engine_option_but_the_model() -> None:
    assert "secret" not in "".join(span.to_json() for span in told().all())


def test_a_turn_without_measurements_has_no_stages() -> None:
    spans = told(GREETING)
    assert "antiphon.turn.first_audio_s" not in (spans.named("turn").attributes or {})
    assert stages_of(spans.all()) == []


def test_a_session_that_was_taken_over_says_so_and_how_it_ended() -> None:
    attributes = dict(told(epoch=2, how="not taken over").named("session").attributes or {})
    assert (attributes["antiphon.session.epoch"], attributes["antiphon.session.resumed"]) == (2, True)
    assert attributes["antiphon.session.ended"] == "not taken over"


def test_a_session_that_failed_is_a_span_that_failed() -> None:
    assert told(how="failed").named("session").status.status_code is StatusCode.ERROR
