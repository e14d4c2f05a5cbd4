"""How a session is set up, as operators see it."""

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from media_worker.setup_meter import SetupMeter
from shared.events import OpenSession, Resume
from tests.fakes.clock import Clock
from tests.fakes.counters import Gained
from tests.fakes.traces import Spans, id_of, lasted, parent_of, trace_of, traced

BEGAN = 1_000_000.0
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OPENING = OpenSession(session="s1", gateway="g1", agent_id="echo", sdp="v=0", traceparent=PARENT)


def observed(stage: str) -> float:
    return REGISTRY.get_sample_value("antiphon_media_setup_seconds_sum", {"stage": stage}) or 0.0


def set_up(clock: Clock, opening: OpenSession = OPENING, has_pipeline: bool = False) -> SetupMeter:
    """A session that was set up in 0.85 s."""
    meter = SetupMeter(opening, BEGAN - 0.05, clock)
    clock.after(0.05)
    meter.answered()
    clock.after(0.25)
    meter.path_found()
    meter.path_found()
    clock.after(0.5)
    meter.secured(has_pipeline)
    return meter


def find_pipeline(meter: SetupMeter, clock: Clock, why: str = "first") -> None:
    meter.pipeline_asked(why)
    clock.after(0.2)
    meter.pipeline_attached("p1")


def traced_set_up() -> Spans:
    clock = Clock(BEGAN)
    with traced() as spans:
        meter = set_up(clock)
        find_pipeline(meter, clock)
        meter.playing_began(clock.now + 0.3)
        meter.playing_began(clock.now + 9.0)
        clock.after(60)
        meter.ended("hangup")
    return spans


def test_each_stage_begins_where_the_one_before_it_ended() -> None:
    stages = ("offer", "ice", "dtls", "pipeline", "first_audio")
    before = [observed(stage) for stage in stages]
    spans = traced_set_up()
    gained = [round(observed(stage) - sum_before, 6) for stage, sum_before in zip(stages, before, strict=True)]
    assert gained == [0.1, 0.25, 0.5, 0.2, 0.3]
    assert [span.name for span in spans.all() if span.name != "media_setup"] == list(stages)


def test_the_set_up_is_a_span_of_the_gateways_trace() -> None:
    spans = traced_set_up()
    whole = spans.named("media_setup")
    assert f"{trace_of(whole):032x}" == PARENT[3:35]
    assert f"{parent_of(whole):016x}" == PARENT[36:52]
    assert {parent_of(span) for span in spans.all() if span is not whole} == {id_of(whole)}
    assert lasted(whole) == (BEGAN - 0.05, BEGAN + 1.0)
    assert (whole.attributes or {})["antiphon.session.moved"] is False
    assert (spans.named("pipeline").attributes or {})["antiphon.pipeline.worker"] == "p1"


def test_a_caller_who_never_connects_is_a_span_that_failed() -> None:
    clock = Clock(BEGAN)
    with traced() as spans:
        meter = SetupMeter(OPENING, None, clock)
        meter.answered()
        meter.ended("connect_timeout")
    assert spans.named("media_setup").status.description == "connect_timeout"


def test_a_session_that_moves_with_its_agent_is_set_up_when_the_caller_is_connected() -> None:
    clock = Clock(BEGAN)
    pipelines, greetings = (
        Gained("antiphon_media_setup_seconds_count", stage=stage) for stage in ("pipeline", "first_audio")
    )
    moved = OPENING.model_copy(update={"resume": Resume(generation=2, pipeline_worker="p1")})
    with traced() as spans, capture_logs() as logs:
        meter = set_up(clock, moved, has_pipeline=True)
        meter.playing_began(clock.now)
        meter.ended("hangup")
    assert lasted(spans.named("media_setup"))[1] == clock.now
    assert (pipelines(), greetings()) == (0, 0)
    set_up_lines = [line for line in logs if line["event"] == "session_set_up"]
    assert set_up_lines == [
        {
            "event": "session_set_up",
            "log_level": "info",
            "session_id": "s1",
            "offer_ms": 100,
            "ice_ms": 250,
            "dtls_ms": 500,
        }
    ]


def test_another_pipeline_worker_is_in_the_trace_but_no_part_of_the_set_up() -> None:
    clock = Clock(BEGAN)
    count = Gained("antiphon_media_setup_seconds_count", stage="pipeline")
    with traced() as spans:
        meter = set_up(clock)
        find_pipeline(meter, clock)
        clock.after(30)
        meter.pipeline_asked("lost")
        find_pipeline(meter, clock, "lost")
        meter.ended("hangup")
    asked = [span for span in spans.all() if span.name == "pipeline"]
    assert [(span.attributes or {})["antiphon.pipeline.why"] for span in asked] == ["first", "lost", "lost"]
    assert [span.status.description for span in asked] == [None, "asked_again", None]
    assert count() == 1
