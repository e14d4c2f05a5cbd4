import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline_worker.settings import PipelineSettings
from pipeline_worker.telemetry import tracing as module
from pipeline_worker.telemetry.otel import OtelTracer
from pipeline_worker.telemetry.tracing import begin_session, open_tracer, tracing
from pipeline_worker.telemetry.turn_meter import TurnMeter
from shared.errors import ConfigError

ROOT = Path(__file__).parents[3]


def settings(endpoint: str) -> PipelineSettings:
    return PipelineSettings(otel_endpoint=endpoint)


class FakeTracer:
    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.may_close = threading.Event()
        self.closed = threading.Event()

    def begin_session(self, session_id: str, agent_id: str, at_s: float) -> module.SessionTrace:
        self.sessions.append(session_id)
        return module._NoTrace()

    def close(self) -> None:
        self.may_close.wait(30)
        self.closed.set()


def test_without_an_endpoint_there_is_no_tracer() -> None:
    assert open_tracer(settings(""), "w1", {}) is None


def test_without_an_endpoint_the_extra_is_not_loaded() -> None:
    """Redis' client loads what it finds of OpenTelemetry by itself, but no traces and no exporter."""
    modules = "pipeline_worker.__main__, pipeline_worker.telemetry.turn_meter"
    script = f"import sys, {modules}; print('pipeline_worker.telemetry.otel' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "False"


def test_a_meter_works_without_a_tracer() -> None:
    meter = TurnMeter("a", "s1", lambda *_: None)
    meter.reply_started(speculative=False)
    meter.turn_finished(interrupted=False)
    meter.session_ended()


@pytest.mark.parametrize("endpoint", ["collector:4318", "127.0.0.1", "grpc://collector:4317", "http://"])
def test_the_error_for_an_invalid_endpoint_has_an_example(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"ANTIPHON_OTEL_ENDPOINT.*http://127.0.0.1:4318"):
        open_tracer(settings(endpoint), "w1", {})


def test_the_error_without_the_extra_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline_worker.telemetry.otel")
    monkeypatch.delattr("pipeline_worker.telemetry.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(ConfigError, match=r"install antiphon\[otel\]"):
        open_tracer(settings("http://127.0.0.1:4318"), "w1", {})


def test_with_an_endpoint_there_is_a_tracer_though_nobody_listens_there() -> None:
    tracer = open_tracer(settings("http://127.0.0.1:1"), "w1", {})
    assert isinstance(tracer, OtelTracer)
    tracer.close()


async def test_sessions_are_traced_while_the_tracer_is_entered() -> None:
    tracer = FakeTracer()
    tracer.may_close.set()
    begin_session("before", "a", 0.0)
    async with tracing(tracer):
        begin_session("during", "a", 0.0)
    begin_session("after", "a", 0.0)
    assert tracer.sessions == ["during"]
    assert tracer.closed.is_set()


async def test_a_collector_that_hangs_does_not_keep_the_process_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_S", 0.05)
    tracer = FakeTracer()
    async with tracing(tracer):
        pass
    assert not tracer.closed.is_set()
    tracer.may_close.set()
    assert tracer.closed.wait(10)


async def test_closing_without_a_tracer_does_nothing() -> None:
    async with tracing(None):
        begin_session("s1", "a", 0.0).end(1.0)
