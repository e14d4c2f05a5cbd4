"""The meter as a session uses it: events for the client, metrics for the operator."""

import json
from collections.abc import Mapping

import pytest
from prometheus_client import REGISTRY

from pipeline_worker.telemetry.turn_meter import TurnMeter
from pipeline_worker.telemetry.turn_metrics import STAGES, Turn
from tests.fakes.clock import Clock
from tests.fakes.counters import Gained

AGENT = "measured"


class Session:
    """A meter, its clock, and the events of its client."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.events: list[Mapping[str, object]] = []
        self.turns: list[Turn] = []
        self.meter = TurnMeter(AGENT, self._publish, self.turns.append, self.clock)

    def after(self, seconds: float) -> TurnMeter:
        self.clock.after(seconds)
        return self.meter

    def turn(self, interrupted: bool = False) -> None:
        """First audio after 1.0 s."""
        self.meter.speech_ended(16_000)
        self.after(0.5).endpoint_decided(16_000 + 8_000)
        self.after(0.1).stt_final()
        self.meter.reply_started(speculative=False)
        self.after(0.25).llm_first_token()
        self.after(0.1).tts_first_audio()
        self.meter.first_packet_out(self.clock.now + 0.05)
        self.after(3.0).turn_finished(interrupted)

    def _publish(self, event_type: str, fields: Mapping[str, object]) -> None:
        self.events.append({"type": event_type, **fields})


@pytest.fixture
def session() -> Session:
    return Session()


def observed(name: str) -> tuple[float, float]:
    """(count, sum) of a histogram."""
    values = [REGISTRY.get_sample_value(f"{name}_{part}", {"agent": AGENT}) for part in ("count", "sum")]
    return values[0] or 0.0, values[1] or 0.0


def test_the_client_gets_metrics_at_the_end_of_a_turn(session: Session) -> None:
    session.turn()
    assert session.events == [
        {
            "type": "metrics",
            "turn": 1,
            "endpointMs": 500,
            "sttFinalMs": 100,
            "llmFirstTokenMs": 250,
            "ttsFirstAudioMs": 100,
            "firstPacketMs": 50,
            "firstAudioMs": 1000,
            "interrupted": False,
            "falseInterruptions": 0,
            "resumed": 0,
            "speculativeHit": False,
        }
    ]
    assert json.loads(json.dumps(session.events)) == session.events
    session.turn(interrupted=True)
    assert (session.events[1]["turn"], session.events[1]["interrupted"]) == (2, True)


@pytest.mark.parametrize(
    ("name", "seconds"), [*zip(STAGES, (0.5, 0.1, 0.25, 0.1, 0.05), strict=True), ("first_audio", 1.0)]
)
def test_each_stage_is_observed_once_a_turn(session: Session, name: str, seconds: float) -> None:
    count, total = observed(f"antiphon_turn_{name}_seconds")
    session.turn()
    session.turn()
    gained = observed(f"antiphon_turn_{name}_seconds")
    assert gained[0] - count == 2
    assert gained[1] - total == pytest.approx(2 * seconds, abs=1e-6)


def test_interruptions_false_ones_resumptions_and_speculation_are_counted(session: Session) -> None:
    turns, interruptions, false, resumed = (
        Gained(f"antiphon_{name}_total", agent=AGENT)
        for name in ("turns", "turn_interruptions", "turn_false_interruptions", "turn_resumed")
    )
    hits, misses = (Gained("antiphon_turn_speculations_total", agent=AGENT, outcome=how) for how in ("hit", "miss"))
    session.turn()
    session.turn(interrupted=True)
    session.meter.reply_started(speculative=True)
    session.meter.speculation(hit=False)
    session.meter.reply_started(speculative=True)
    session.meter.speculation(hit=True)
    session.meter.paused()
    session.meter.resumed()
    session.meter.speech_dismissed()
    session.meter.speech_dismissed()
    session.meter.turn_finished(interrupted=False)
    counted = [count() for count in (turns, interruptions, false, resumed, hits, misses)]
    assert counted == [3, 1, 1, 1, 1, 1]
    last = session.events[-1]
    assert (last["speculativeHit"], last["falseInterruptions"], last["resumed"]) == (True, 1, 1)


def test_no_turn_answers_a_false_interruption(session: Session) -> None:
    session.meter.reply_started(speculative=False)
    session.meter.speech_ended(16_000)
    session.meter.endpoint_decided(24_000)
    session.meter.stt_final()
    session.meter.speech_dismissed()
    session.meter.resumed()
    session.meter.turn_finished(interrupted=False)
    session.meter.reply_started(speculative=False)
    session.after(0.1).tts_first_audio()
    session.meter.first_packet_out(session.clock.now)
    session.meter.turn_finished(interrupted=False)
    assert "firstAudioMs" not in session.events[1]


def test_an_end_without_a_turn_is_not_reported(session: Session) -> None:
    session.meter.turn_finished(interrupted=True)
    assert session.events == []


def test_the_trace_gets_the_turns(session: Session) -> None:
    session.turn()
    session.turn(interrupted=True)
    assert [(turn.number, turn.interrupted) for turn in session.turns] == [(1, False), (2, True)]
