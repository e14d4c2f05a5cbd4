"""How sessions are set up, as operators see it."""

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.setup_meter import SetupMeter
from shared.events import OpenSession, Resume
from tests.fakes.clock import Clock
from tests.fakes.counters import Gained
from tests.fakes.traces import id_of, lasted, parent_of, trace_of, traced

BEGAN = 1_000_000.0
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OPENING = OpenSession(session="s1", gateway="g1", agent_id="echo", sdp="v=0")


def observed(stage: str) -> float:
    return REGISTRY.get_sample_value("antiphon_gateway_setup_seconds_sum", {"stage": stage}) or 0.0


def answer(meter: SetupMeter, clock: Clock, opening: OpenSession = OPENING) -> OpenSession:
    """After 0.5 s the client offers, 0.2 s later there is a place, 0.1 s later an answer."""
    clock.after(0.5)
    meter.offered()
    clock.after(0.2)
    sent = meter.placed(opening)
    clock.after(0.1)
    meter.answered()
    return sent


def test_each_stage_is_observed_and_logged_when_the_client_has_its_answer() -> None:
    stages = ("connect", "place", "answer")
    before = [observed(stage) for stage in stages]
    clock = Clock(BEGAN)
    with capture_logs() as logs:
        answer(SetupMeter(clock=clock), clock)
    gained = [round(observed(stage) - sum_before, 6) for stage, sum_before in zip(stages, before, strict=True)]
    assert gained == [0.5, 0.2, 0.1]
    assert logs == [
        {
            "event": "session_answered",
            "log_level": "info",
            "session_id": "s1",
            "places": 1,
            "connect_ms": 500,
            "place_ms": 200,
            "answer_ms": 100,
        }
    ]


def test_the_set_up_is_a_trace_and_the_media_worker_gets_its_span() -> None:
    clock = Clock(BEGAN)
    with traced() as spans:
        sent = answer(SetupMeter(clock=clock), clock)
    whole = spans.named("session_setup")
    assert parent_of(whole) is None
    assert sent.traceparent[:52] == f"00-{trace_of(whole):032x}-{id_of(whole):016x}"
    assert [(span.name, parent_of(span)) for span in spans.all()[:-1]] == [
        (stage, id_of(whole)) for stage in ("connect", "place", "answer")
    ]
    assert [round(seconds - BEGAN, 3) for seconds in lasted(whole)] == [0.0, 0.8]


def test_a_session_that_moves_stays_in_its_trace() -> None:
    clock = Clock(BEGAN)
    moving = OPENING.model_copy(update={"resume": Resume(generation=2), "traceparent": THEIRS})
    with traced() as spans:
        answer(SetupMeter(clock=clock), clock, moving)
    whole = spans.named("session_setup")
    assert f"{trace_of(whole):032x}" == THEIRS[3:35]
    assert (whole.attributes or {})["antiphon.session.moved"] is True


def test_a_traceparent_from_outside_is_only_a_link() -> None:
    """A stranger must choose neither what is sampled nor whose trace a session is in."""
    clock = Clock(BEGAN)
    with traced() as spans:
        answer(SetupMeter(THEIRS, clock), clock)
        for strange in ("", "x" * 55, THEIRS * 20):
            answer(SetupMeter(strange, clock), clock)
    setups = [span for span in spans.all() if span.name == "session_setup"]
    assert [len(span.links) for span in setups] == [1, 0, 0, 0]
    assert all(parent_of(span) is None and f"{trace_of(span):032x}" != THEIRS[3:35] for span in setups)


def test_an_offer_with_two_places_is_answered_once() -> None:
    clock = Clock(BEGAN)
    places = Gained("antiphon_gateway_setup_seconds_count", stage="place")
    with traced() as spans:
        meter = SetupMeter(clock=clock)
        meter.offered()
        first = meter.placed(OPENING)
        clock.after(1.5)
        second = meter.placed(OPENING)
        clock.after(0.5)
        meter.answered()
    assert first.traceparent == second.traceparent
    began_s, ended_s = lasted(spans.named("answer"))
    assert (ended_s - began_s, places()) == (2.0, 1)
    assert (spans.named("session_setup").attributes or {})["antiphon.setup.places"] == 2


def test_an_offer_that_is_refused_is_a_span_that_failed_and_is_not_observed() -> None:
    clock = Clock(BEGAN)
    connects = Gained("antiphon_gateway_setup_seconds_count", stage="connect")
    with traced() as spans:
        meter = SetupMeter(clock=clock)
        meter.failed("gone")
        meter.offered()
        meter.failed("no_capacity")
    assert spans.named("session_setup").status.description == "no_capacity"
    assert connects() == 0


def test_a_websocket_that_only_comes_back_is_no_set_up() -> None:
    with traced() as spans:
        meter = SetupMeter()
        meter.answered()
    assert spans.all() == ()
