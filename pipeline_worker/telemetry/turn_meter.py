"""Measures the turns of one session: an event for the client, histograms for the operator, spans for the trace."""

import time
from collections.abc import Callable

from prometheus_client import Counter, Histogram

from pipeline_worker.telemetry import tracing
from pipeline_worker.telemetry.turn_metrics import Stage, TurnMetrics

_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""People notice 200 ms and mind a second; beyond ten the engines' deadlines have struck."""

_endpoint = Histogram(
    "antiphon_turn_endpoint_seconds", "End of speech to endpoint decision", ["agent"], buckets=_BUCKETS
)
_stt_final = Histogram(
    "antiphon_turn_stt_final_seconds", "Endpoint decision to the final text", ["agent"], buckets=_BUCKETS
)
_llm_first_token = Histogram(
    "antiphon_turn_llm_first_token_seconds", "Final text to the reply's first token", ["agent"], buckets=_BUCKETS
)
_tts_first_audio = Histogram(
    "antiphon_turn_tts_first_audio_seconds", "First token to the first audio", ["agent"], buckets=_BUCKETS
)
_first_packet = Histogram(
    "antiphon_turn_first_packet_seconds", "First audio to the first packet to the caller", ["agent"], buckets=_BUCKETS
)
_first_audio = Histogram(
    "antiphon_turn_first_audio_seconds", "End of speech to the first packet to the caller", ["agent"], buckets=_BUCKETS
)
_STAGES: dict[Stage, Histogram] = {
    "endpoint": _endpoint,
    "stt_final": _stt_final,
    "llm_first_token": _llm_first_token,
    "tts_first_audio": _tts_first_audio,
    "first_packet": _first_packet,
}
_turns = Counter("antiphon_turns_total", "Turns of agents that are over", ["agent"])
_interruptions = Counter("antiphon_turn_interruptions_total", "Turns of agents that callers cut short", ["agent"])
_false_interruptions = Counter(
    "antiphon_turn_false_interruptions_total",
    "Sounds for which an agent fell silent that did not take the floor",
    ["agent"],
)
_resumed = Counter("antiphon_turn_resumed_total", "Times an agent went on where it had stopped", ["agent"])
_speculations = Counter(
    "antiphon_turn_speculations_total", "Replies started before the endpoint, by outcome", ["agent", "outcome"]
)

Publish = Callable[[str, dict[str, object]], None]
"""(type, fields) of an event for the client."""


class TurnMeter:
    """Told what happens, when it happens. Facts that belong to no turn are ignored, so none can be out of place.

    For each reply that is meant to be heard: `reply_started(False)`, or `reply_started(True)` and later
    `speculation(hit=True)`; at its end `turn_finished`, also if nothing of it was heard. A speculative reply that is
    thrown away ends with `speculation(hit=False)` instead. `session_ended` comes last.
    """

    def __init__(
        self, agent_id: str, session_id: str, publish: Publish, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` is the Unix clock, in seconds: it is compared with the media worker's."""
        self._agent = agent_id
        self._publish = publish
        self._clock = clock
        self._metrics = TurnMetrics()
        self._trace = tracing.begin_session(session_id, agent_id, clock())

    def speech_ended(self, at_sample: int) -> None:
        """The caller's last sound so far, in samples of their audio. Push-to-talk: where the button was released."""
        self._metrics.speech_ended(at_sample)

    def endpoint_decided(self, at_sample: int) -> None:
        """The caller has finished; `at_sample` is how far their audio has come."""
        self._metrics.endpoint_decided(at_sample, self._clock())

    def stt_final(self) -> None:
        """What they said is known, or that it was not understood."""
        self._metrics.stt_final(self._clock())

    def reply_started(self, speculative: bool, is_answer: bool = True) -> None:
        """The model is asked; without `is_answer` the agent has its words ready: a greeting, a prompt, a farewell."""
        self._metrics.reply_started(speculative, self._clock(), is_answer)

    def speculation(self, hit: bool) -> None:
        """The speculative reply is the turn, or is thrown away."""
        _speculations.labels(self._agent, "hit" if hit else "miss").inc()
        self._metrics.speculation(hit)

    def llm_first_token(self) -> None:
        """May be called for every piece of the reply: the first counts."""
        self._metrics.llm_first_token(self._clock())

    def tts_first_audio(self) -> None:
        """May be called for every piece of audio: the first counts."""
        self._metrics.tts_first_audio(self._clock())

    def first_packet_out(self, at_unix_s: float) -> None:
        """`PlayoutReported.at_unix_ms`, in seconds. The first since the turn's first audio counts."""
        self._metrics.first_packet_out(at_unix_s)

    def turn_finished(self, interrupted: bool) -> None:
        """The reply was heard to its end, or the caller cut it short. Does nothing if no turn runs."""
        turn = self._metrics.turn_finished(interrupted, self._clock())
        if turn is None:
            return
        _turns.labels(self._agent).inc()
        if interrupted:
            _interruptions.labels(self._agent).inc()
        for span in turn.spans:
            _STAGES[span.stage].labels(self._agent).observe(span.duration_s)
        if turn.first_audio_s is not None:
            _first_audio.labels(self._agent).observe(turn.first_audio_s)
        self._trace.turn(turn)
        self._publish("metrics", turn.event_fields())

    def paused(self) -> None:
        """The agent fell silent for a sound."""
        self._metrics.paused()

    def resumed(self) -> None:
        """The agent went on where it had stopped."""
        _resumed.labels(self._agent).inc()
        self._metrics.resumed()

    def speech_dismissed(self) -> None:
        """The caller's last sounds are answered by no turn."""
        if self._metrics.speech_dismissed():
            _false_interruptions.labels(self._agent).inc()

    def session_ended(self) -> None:
        """Idempotent."""
        self._trace.end(self._clock())
