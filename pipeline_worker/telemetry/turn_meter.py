"""Measures the turns of one session: an event for the client, histograms for the operator, a turn for the trace."""

import time
from collections.abc import Callable, Mapping

from prometheus_client import Counter, Histogram

from pipeline_worker.telemetry.turn_metrics import Stage, Turn, TurnMetrics

_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""People notice 200 ms and are annoyed by a second; after ten the engines' deadlines have passed."""

_STAGES: dict[Stage, Histogram] = {
    "endpoint": Histogram(
        "antiphon_turn_endpoint_seconds", "End of speech to endpoint decision", ["agent"], buckets=_BUCKETS
    ),
    "stt_final": Histogram(
        "antiphon_turn_stt_final_seconds", "Endpoint decision to the final text", ["agent"], buckets=_BUCKETS
    ),
    "llm_first_token": Histogram(
        "antiphon_turn_llm_first_token_seconds", "Final text to the reply's first token", ["agent"], buckets=_BUCKETS
    ),
    "tts_first_audio": Histogram(
        "antiphon_turn_tts_first_audio_seconds", "First token to the first audio", ["agent"], buckets=_BUCKETS
    ),
    "first_packet": Histogram(
        "antiphon_turn_first_packet_seconds",
        "First audio to the first packet to the caller",
        ["agent"],
        buckets=_BUCKETS,
    ),
}
_first_audio = Histogram(
    "antiphon_turn_first_audio_seconds", "End of speech to the first packet to the caller", ["agent"], buckets=_BUCKETS
)
_turns = Counter("antiphon_turns_total", "Turns of agents that have ended", ["agent"])
_interruptions = Counter("antiphon_turn_interruptions_total", "Turns of agents that callers interrupted", ["agent"])
_false_interruptions = Counter(
    "antiphon_turn_false_interruptions_total", "Sounds that silenced an agent but did not take the floor", ["agent"]
)
_resumed = Counter("antiphon_turn_resumed_total", "Times an agent continued where it had stopped", ["agent"])
_speculations = Counter(
    "antiphon_turn_speculations_total", "Replies started before the endpoint, by outcome", ["agent", "outcome"]
)

Publish = Callable[[str, Mapping[str, object]], None]
"""(type, fields) of an event for the client."""
OnTurn = Callable[[Turn], None]
"""Gets each turn when it has ended."""


class TurnMeter:
    """Call each method when its fact happens. Facts that belong to no turn are ignored.

    For each reply that is meant to be heard: `reply_started(False)`, or `reply_started(True)` and later
    `speculation(hit=True)`; at its end `turn_finished`, even if nothing of it was heard. A discarded speculative reply
    ends with `speculation(hit=False)` instead.
    """

    def __init__(
        self,
        agent_id: str,
        publish: Publish,
        on_turn: OnTurn = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` returns Unix time in seconds. It is compared with the media worker's."""
        self._agent = agent_id
        self._publish = publish
        self._on_turn = on_turn
        self._clock = clock
        self._metrics = TurnMetrics()

    def speech_ended(self, at_sample: int) -> None:
        """The caller's last sound so far, in samples of their audio. Push-to-talk: where the button was released."""
        self._metrics.speech_ended(at_sample)

    def endpoint_decided(self, at_sample: int) -> None:
        """The caller has finished; `at_sample` is the end of their audio so far."""
        self._metrics.endpoint_decided(at_sample, self._clock())

    def stt_final(self) -> None:
        """The final text is known, or it is known that there is none."""
        self._metrics.stt_final(self._clock())

    def reply_started(self, speculative: bool, is_answer: bool = True) -> None:
        """A reply begins. Without `is_answer` it is a fixed text: a greeting, a prompt or a farewell."""
        self._metrics.reply_started(speculative, self._clock(), is_answer)

    def speculation(self, hit: bool) -> None:
        """The speculative reply becomes the turn (`hit`) or is discarded."""
        _speculations.labels(self._agent, "hit" if hit else "miss").inc()
        self._metrics.speculation(hit)

    def llm_first_token(self) -> None:
        """May be called for every piece of the reply: only the first counts."""
        self._metrics.llm_first_token(self._clock())

    def tts_first_audio(self) -> None:
        """May be called for every piece of audio: only the first counts."""
        self._metrics.tts_first_audio(self._clock())

    def first_packet_out(self, at_unix_s: float) -> None:
        """`PlayoutReported.at_unix_ms`, in seconds. The first since the turn's first audio counts."""
        self._metrics.first_packet_out(at_unix_s)

    def turn_finished(self, interrupted: bool) -> None:
        """The whole reply was heard, or the caller interrupted it. Does nothing if no turn runs."""
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
        self._on_turn(turn)
        self._publish("metrics", turn.event_fields())

    def paused(self) -> None:
        """A sound silenced the agent."""
        self._metrics.paused()

    def resumed(self) -> None:
        """The agent continued where it had stopped."""
        _resumed.labels(self._agent).inc()
        self._metrics.resumed()

    def speech_dismissed(self) -> None:
        """No turn answers the caller's last sounds."""
        if self._metrics.speech_dismissed():
            _false_interruptions.labels(self._agent).inc()
