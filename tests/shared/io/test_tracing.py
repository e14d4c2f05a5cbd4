import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import ConfigError
from shared.io import otel
from shared.io import tracing as module
from shared.io.otel import OtelTracer
from shared.io.tracing import Attributes, Span, begin_span, open_tracer, tracing

ROOT = Path(__file__).parents[3]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class FakeTracer:
    def __init__(self) -> None:
        self.sessions: list[object] = []
        self.may_close = threading.Event()
        self.closed = threading.Event()

    def begin(self, name: str, at_s: float, parent: str, link: str, attributes: Attributes) -> Span:
        self.sessions.append(attributes["session.id"])
        return module._NoSpan(parent)

    def close(self) -> None:
        self.may_close.wait(30)
        self.closed.set()


def test_without_an_endpoint_there_is_no_tracer() -> None:
    assert open_tracer("", "gateway", "w1") is None


def test_without_an_endpoint_the_extra_is_not_loaded() -> None:
    """Redis' client loads what it finds of OpenTelemetry by itself, but no traces and no exporter."""
    services = "gateway.__main__, media_worker.__main__, pipeline_worker.__main__"
    script = f"import sys, {services}, shared.io.tracing; print('shared.io.otel' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "False"


def test_a_process_that_does_not_trace_passes_on_what_it_was_given() -> None:
    span = begin_span("media_setup", 0.0, session="s1", parent=PARENT)
    span.child("offer", 0.0).end(1.0)
    span.end(1.0)
    assert span.traceparent == PARENT
    assert begin_span("media_setup", 0.0, session="s2").traceparent == ""


@pytest.mark.parametrize("endpoint", ["collector:4318", "127.0.0.1", "grpc://collector:4317", "http://"])
def test_the_error_for_an_invalid_endpoint_has_an_example(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"ANTIPHON_OTEL_ENDPOINT.*http://127.0.0.1:4318"):
        open_tracer(endpoint, "gateway", "w1")


def test_the_error_without_the_extra_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shared.io.otel")
    monkeypatch.delattr("shared.io.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(ConfigError, match=r"install antiphon\[otel\]"):
        open_tracer("http://127.0.0.1:4318", "gateway", "w1")


def test_with_an_endpoint_there_is_a_tracer_though_nobody_listens_there() -> None:
    tracer = open_tracer("http://127.0.0.1:1", "gateway", "w1")
    assert isinstance(tracer, OtelTracer)
    tracer.close()


async def test_sessions_are_traced_while_the_tracer_is_entered() -> None:
    tracer = FakeTracer()
    tracer.may_close.set()
    begin_span("session", 0.0, session="before")
    async with tracing(tracer):
        begin_span("session", 0.0, session="during")
    begin_span("session", 0.0, session="after")
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
        begin_span("session", 0.0).end(1.0)


async def test_spans_for_a_collector_that_is_away_delay_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "_EXPORT_S", 0.1)  # or a thread tries again and again beside the next tests
    tracer = open_tracer("http://127.0.0.1:1", "gateway", "w1")
    with capture_logs():
        async with tracing(tracer):
            began = time.process_time()
            for number in range(1_000):
                span = begin_span("session_setup", 0.0, session=f"s{number}")
                span.child("place", 0.0).end(1.0)
                span.end(1.0)
            used_s = time.process_time() - began
            await asyncio.sleep(0)
    assert used_s < 1.0
    assert "close-tracer" not in {thread.name for thread in threading.enumerate()}
