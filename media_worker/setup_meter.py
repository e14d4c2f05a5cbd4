"""Measures how a session is set up: a histogram for the operator, a line in the log, spans for the trace.

A stage begins where the one before it ended, so none is hidden. What happens later, such as another pipeline worker, is
no set-up; the trace has it all the same.
"""

import time
from collections.abc import Callable
from typing import Literal

from prometheus_client import Histogram

from shared.events import OpenSession
from shared.io.logs import get_logger
from shared.io.tracing import Attributes, Span, begin_span

Stage = Literal["offer", "ice", "dtls", "pipeline", "first_audio"]

_seconds = Histogram(
    "antiphon_media_setup_seconds",
    "How long the stages of a session's set-up took",
    ["stage"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)

log = get_logger()


class SetupMeter:
    """Of one peer connection. Call each method when its fact happens; all but the first of its kind are ignored."""

    def __init__(
        self, opening: OpenSession, came_s: float | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` returns Unix time in seconds. `came_s` is when the offer was read, if that was before now."""
        self._clock = clock
        self._session = opening.session
        self._is_first = opening.resume is None
        self._last_s = clock() if came_s is None else came_s
        self._took_s: dict[Stage, float] = {}
        self._asking: Span | None = None
        self._is_over = False
        attributes: Attributes = {"gen_ai.agent.id": opening.agent_id, "antiphon.session.moved": not self._is_first}
        self._span = begin_span(
            "media_setup", self._last_s, session=opening.session, parent=opening.traceparent, attributes=attributes
        )

    @property
    def traceparent(self) -> str:
        """For the spans of others in this one. Empty if nothing is traced."""
        return self._span.traceparent

    def answered(self) -> None:
        """The offer has its answer."""
        self._reach("offer")

    def path_found(self) -> None:
        """The caller's first check has selected a path."""
        if "offer" in self._took_s:
            self._reach("ice")

    def secured(self, has_pipeline: bool) -> None:
        """The DTLS handshake is done: the caller is connected. `has_pipeline`: the session has a worker already."""
        self._reach("dtls")
        if has_pipeline:
            self._finish()

    def pipeline_asked(self, why: str) -> None:
        """`why` as in `antiphon_media_pipelines_asked_total`."""
        self.pipeline_given_up("asked_again")
        self._asking = self._span.child("pipeline", self._clock(), {"antiphon.pipeline.why": why})

    def pipeline_attached(self, worker: str) -> None:
        self._end_asking({"antiphon.pipeline.worker": worker})
        if not self._is_over:
            self._reach("pipeline", traced=False)
            self._finish()

    def pipeline_given_up(self, code: str) -> None:
        self._end_asking({}, code)

    def playing_began(self, at_s: float) -> None:
        """A packet of the agent's audio was sent after silence."""
        if self._is_first and "pipeline" in self._took_s:
            self._reach("first_audio", at_s)

    def ended(self, reason: str) -> None:
        """The peer connection is over. If the set-up was not, it has failed for this reason."""
        self.pipeline_given_up(reason)
        if not self._is_over:
            self._is_over = True
            self._span.end(self._clock(), error=reason)

    def _reach(self, stage: Stage, at_s: float | None = None, traced: bool = True) -> None:
        if stage in self._took_s:
            return
        began_s, self._last_s = self._last_s, max(self._last_s, self._clock() if at_s is None else at_s)
        self._took_s[stage] = self._last_s - began_s
        _seconds.labels(stage).observe(self._took_s[stage])
        if traced:
            self._span.child(stage, began_s).end(self._last_s)

    def _end_asking(self, attributes: dict[str, str], error: str = "") -> None:
        if self._asking is not None:
            self._asking.end(self._clock(), attributes, error)
            self._asking = None

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._span.end(self._last_s)
            took_ms = {f"{stage}_ms": round(took_s * 1000) for stage, took_s in self._took_s.items()}
            log.info("session_set_up", session_id=self._session, **took_ms)
