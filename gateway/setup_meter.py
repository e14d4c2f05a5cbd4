"""Measures how sessions are set up over one signaling connection: a histogram, a line in the log, spans for the trace.

A set-up begins with an offer that starts or moves a session, and ends with the client's answer, or when the offer has
failed. The time of the client before its first offer counts as the stage `connect`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import Histogram

from shared.events import OpenSession
from shared.io.logs import get_logger
from shared.io.tracing import Attributes, Span, begin_span

Stage = Literal["connect", "place", "answer"]

_TRACEPARENT_LENGTH = 55

_seconds = Histogram(
    "antiphon_gateway_setup_seconds",
    "How long the stages of a session's set-up took",
    ["stage"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)

log = get_logger()


@dataclass
class _SetUp:
    """Times are Unix seconds."""

    began_s: float
    last_s: float
    stages: dict[Stage, tuple[float, float]] = field(default_factory=dict)
    session: str = ""
    places: int = 0
    span: Span | None = None

    def reach(self, stage: Stage, now_s: float) -> None:
        began_s, self.last_s = self.last_s, max(self.last_s, now_s)
        self.stages[stage] = (began_s, self.last_s)


class SetupMeter:
    """Call each method when its fact happens. Those that belong to no set-up are ignored."""

    def __init__(self, client_traceparent: str = "", clock: Callable[[], float] = time.time) -> None:
        """The client is connected. `clock` returns Unix time in seconds.

        `client_traceparent` comes from outside, so the trace has a link to it and is not part of it: a stranger must
        choose neither what is sampled nor in whose trace a session is.
        """
        self._link = client_traceparent if len(client_traceparent) == _TRACEPARENT_LENGTH else ""
        self._clock = clock
        self._connected_s: float | None = clock()
        self._setup: _SetUp | None = None

    def offered(self) -> None:
        """An offer that starts or moves a session was read."""
        began_s, self._connected_s = self._connected_s, None
        now_s = self._clock()
        self._setup = _SetUp(now_s, now_s)
        if began_s is not None:
            self._setup = _SetUp(began_s, began_s)
            self._setup.reach("connect", now_s)

    def placed(self, opening: OpenSession) -> OpenSession:
        """The offer has a place, or another one. Returns the message with the span that the place's work belongs to."""
        setup = self._setup
        if setup is None:
            return opening
        setup.places += 1
        if setup.span is None:
            setup.reach("place", self._clock())
            setup.session = opening.session
            attributes: Attributes = {
                "gen_ai.agent.id": opening.agent_id,
                "antiphon.session.moved": opening.resume is not None,
            }
            setup.span = self._begin(setup, opening.traceparent, attributes)
        return opening.model_copy(update={"traceparent": setup.span.traceparent})

    def answered(self) -> None:
        """The client gets its answer."""
        setup = self._setup
        if setup is None or setup.span is None:
            return
        setup.reach("answer", self._clock())
        took_ms = {}
        for stage, (began_s, ended_s) in setup.stages.items():
            _seconds.labels(stage).observe(ended_s - began_s)
            took_ms[f"{stage}_ms"] = round((ended_s - began_s) * 1000)
        log.info("session_answered", session_id=setup.session, places=setup.places, **took_ms)
        self._end(setup, setup.span, "")

    def failed(self, code: str) -> None:
        """The offer was refused, or its client has left."""
        if (setup := self._setup) is not None:
            self._end(setup, setup.span or self._begin(setup, "", {}), code)

    def _begin(self, setup: _SetUp, parent: str, attributes: Attributes) -> Span:
        return begin_span(
            "session_setup",
            setup.began_s,
            session=setup.session,
            parent=parent,
            link=self._link,
            attributes=attributes,
        )

    def _end(self, setup: _SetUp, span: Span, error: str) -> None:
        self._setup = None
        for stage, (began_s, ended_s) in setup.stages.items():
            span.child(stage, began_s).end(ended_s)
        span.end(max(setup.last_s, self._clock()), {"antiphon.setup.places": setup.places}, error)
