import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_worker.telemetry.turn_metrics import STAGES, Turn, TurnMetrics
from shared.audio import UPLINK_RATE
from shared.client_events import MetricsEvent

BEGAN = 1_000_000.0
"""When the caller falls silent."""


@pytest.fixture
def metrics() -> TurnMetrics:
    return TurnMetrics()


def hear(metrics: TurnMetrics, *, at_sample: int = 32_000, endpoint: float = 0.5, final: float = 0.6) -> None:
    """Speech that ends at BEGAN."""
    metrics.speech_ended(at_sample)
    metrics.endpoint_decided(at_sample + round(endpoint * UPLINK_RATE), BEGAN + endpoint)
    metrics.stt_final(BEGAN + final)


def answer(metrics: TurnMetrics, since: float = 0.6) -> None:
    metrics.reply_started(False, BEGAN + since)
    metrics.llm_first_token(BEGAN + since + 0.2)
    metrics.tts_first_audio(BEGAN + since + 0.3)
    metrics.first_packet_out(BEGAN + since + 0.35)


def finish(metrics: TurnMetrics, interrupted: bool = False) -> MetricsEvent:
    turn = metrics.turn_finished(interrupted, BEGAN + 10)
    assert turn is not None
    return turn.event_fields()


def test_a_spoken_turn_has_all_its_stages_and_they_add_up(metrics: TurnMetrics) -> None:
    hear(metrics)
    answer(metrics)
    turn = metrics.turn_finished(False, BEGAN + 10)
    assert isinstance(turn, Turn)
    assert turn.event_fields() == {
        "turn": 1,
        "endpointMs": 500,
        "sttFinalMs": 100,
        "llmFirstTokenMs": 200,
        "ttsFirstAudioMs": 100,
        "firstPacketMs": 50,
        "firstAudioMs": 950,
        "interrupted": False,
        "falseInterruptions": 0,
        "resumed": 0,
        "speculativeHit": False,
    }
    assert sum(span.duration_s for span in turn.spans) == pytest.approx(turn.first_audio_s)
    assert (turn.began_s, turn.ended_s) == (BEGAN, BEGAN + 10)


def test_the_first_of_each_counts(metrics: TurnMetrics) -> None:
    hear(metrics)
    answer(metrics)
    answer_again = BEGAN + 5
    metrics.llm_first_token(answer_again)
    metrics.tts_first_audio(answer_again)
    metrics.first_packet_out(answer_again)
    assert finish(metrics)["firstAudioMs"] == 950


def test_the_end_of_speech_is_the_last_one(metrics: TurnMetrics) -> None:
    metrics.speech_ended(16_000)
    hear(metrics, at_sample=32_000)
    answer(metrics)
    assert finish(metrics)["endpointMs"] == 500


def test_the_greeting_has_no_stages_of_an_answer(metrics: TurnMetrics) -> None:
    metrics.reply_started(False, BEGAN)
    metrics.tts_first_audio(BEGAN + 0.1)
    metrics.first_packet_out(BEGAN + 0.15)
    assert finish(metrics) == {
        "turn": 1,
        "ttsFirstAudioMs": 100,
        "firstPacketMs": 50,
        "interrupted": False,
        "falseInterruptions": 0,
        "resumed": 0,
        "speculativeHit": False,
    }


def test_a_speculative_hit_saves_what_was_done_before_the_endpoint(metrics: TurnMetrics) -> None:
    metrics.speech_ended(32_000)
    metrics.reply_started(True, BEGAN + 0.2)
    metrics.llm_first_token(BEGAN + 0.4)
    metrics.endpoint_decided(40_000, BEGAN + 0.5)
    metrics.stt_final(BEGAN + 0.6)
    metrics.speculation(hit=True)
    metrics.tts_first_audio(BEGAN + 0.7)
    metrics.first_packet_out(BEGAN + 0.75)
    fields = finish(metrics)
    assert fields["speculativeHit"] is True
    assert (fields["llmFirstTokenMs"], fields["ttsFirstAudioMs"], fields["firstAudioMs"]) == (0, 100, 750)


def test_a_speculative_miss_leaves_nothing(metrics: TurnMetrics) -> None:
    metrics.speech_ended(16_000)
    metrics.reply_started(True, BEGAN - 2)
    metrics.llm_first_token(BEGAN - 1.9)
    metrics.tts_first_audio(BEGAN - 1.8)
    metrics.speculation(hit=False)
    assert metrics.turn_finished(False, BEGAN) is None
    hear(metrics)
    answer(metrics)
    fields = finish(metrics)
    assert (fields["turn"], fields["llmFirstTokenMs"], fields["speculativeHit"]) == (1, 200, False)


def test_a_speculative_reply_leaves_the_running_turn_alone(metrics: TurnMetrics) -> None:
    hear(metrics)
    answer(metrics)
    metrics.speech_ended(80_000)
    metrics.reply_started(True, BEGAN + 3)
    metrics.llm_first_token(BEGAN + 3.1)
    metrics.speculation(hit=False)
    assert finish(metrics, interrupted=True)["llmFirstTokenMs"] == 200


def test_speech_over_the_agent_belongs_to_the_next_turn(metrics: TurnMetrics) -> None:
    answer(metrics)
    hear(metrics, endpoint=0.3, final=0.4)
    first = finish(metrics, interrupted=True)
    assert "endpointMs" not in first
    assert first["interrupted"] is True
    answer(metrics)
    second = finish(metrics)
    assert (second["turn"], second["endpointMs"]) == (2, 300)


def test_typed_text_is_not_the_answer_to_speech_that_was_dropped(metrics: TurnMetrics) -> None:
    metrics.speech_ended(16_000)
    metrics.endpoint_decided(24_000, BEGAN - 5)
    answer(metrics)
    fields = finish(metrics)
    assert "firstAudioMs" not in fields
    assert fields["llmFirstTokenMs"] == 200
    hear(metrics)
    assert metrics.speech_dismissed() is False
    answer(metrics)
    assert "firstAudioMs" not in finish(metrics)


def test_sounds_for_which_the_agent_fell_silent_are_of_their_turn(metrics: TurnMetrics) -> None:
    metrics.paused()
    metrics.resumed()
    assert metrics.speech_dismissed() is False
    answer(metrics)
    for _ in range(2):
        metrics.paused()
        metrics.resumed()
        assert metrics.speech_dismissed() is True
        assert metrics.speech_dismissed() is False
    metrics.paused()
    metrics.resumed()
    fields = finish(metrics)
    assert (fields["falseInterruptions"], fields["resumed"]) == (2, 3)
    answer(metrics)
    fields = finish(metrics)
    assert (fields["falseInterruptions"], fields["resumed"]) == (0, 0)


def test_speech_over_the_agents_last_words_is_measured_from_its_own_end(metrics: TurnMetrics) -> None:
    answer(metrics, since=-10)
    metrics.paused()
    hear(metrics)
    assert finish(metrics)["falseInterruptions"] == 0
    answer(metrics)
    assert (finish(metrics)["endpointMs"]) == 500


def test_a_prompt_to_a_silent_caller_answers_nothing(metrics: TurnMetrics) -> None:
    hear(metrics)
    metrics.reply_started(False, BEGAN + 60, is_answer=False)
    metrics.llm_first_token(BEGAN + 60)
    metrics.tts_first_audio(BEGAN + 60.1)
    metrics.first_packet_out(BEGAN + 60.2)
    fields = finish(metrics)
    assert not {"firstAudioMs", "endpointMs", "llmFirstTokenMs"} & fields.keys()
    assert (fields["ttsFirstAudioMs"], fields["firstPacketMs"]) == (100, 100)
    answer(metrics, since=70)
    assert "endpointMs" not in finish(metrics)


def test_an_endpoint_without_an_end_of_speech(metrics: TurnMetrics) -> None:
    metrics.endpoint_decided(24_000, BEGAN + 0.5)
    metrics.stt_final(BEGAN + 0.6)
    answer(metrics)
    fields = finish(metrics)
    assert "firstAudioMs" not in fields
    assert "endpointMs" not in fields
    assert fields["sttFinalMs"] == 100


def test_a_reply_that_was_abandoned_unheard(metrics: TurnMetrics) -> None:
    hear(metrics)
    metrics.reply_started(False, BEGAN + 0.6)
    fields = finish(metrics, interrupted=True)
    assert "firstAudioMs" not in fields
    assert (fields["endpointMs"], fields["sttFinalMs"]) == (500, 100)


def test_a_turn_without_facts_takes_no_time(metrics: TurnMetrics) -> None:
    metrics.reply_started(False, BEGAN)
    turn = metrics.turn_finished(True, BEGAN - 1)
    assert turn is not None
    assert (turn.spans, turn.began_s, turn.ended_s) == ((), BEGAN, BEGAN)


def test_a_packet_before_the_first_audio_is_an_earlier_turns(metrics: TurnMetrics) -> None:
    hear(metrics)
    metrics.reply_started(False, BEGAN + 0.6)
    metrics.first_packet_out(BEGAN + 0.65)
    metrics.tts_first_audio(BEGAN + 0.8)
    metrics.first_packet_out(BEGAN + 0.9)
    assert finish(metrics)["firstAudioMs"] == 900


def test_a_media_worker_whose_clock_is_behind_gives_no_negative_time(metrics: TurnMetrics) -> None:
    hear(metrics)
    metrics.reply_started(False, BEGAN + 0.6)
    metrics.tts_first_audio(BEGAN + 0.8)
    metrics.first_packet_out(BEGAN - 3)
    fields = finish(metrics)
    assert (fields["firstPacketMs"], fields["firstAudioMs"]) == (0, 800)


def test_facts_without_a_turn_are_ignored(metrics: TurnMetrics) -> None:
    metrics.llm_first_token(BEGAN)
    metrics.tts_first_audio(BEGAN)
    metrics.first_packet_out(BEGAN)
    metrics.speculation(hit=True)
    assert metrics.turn_finished(True, BEGAN) is None


_FACTS = (
    "speech",
    "endpoint",
    "final",
    "dismissed",
    "paused",
    "resumed",
    "reply",
    "candidate",
    "hit",
    "miss",
    "token",
    "audio",
    "packet",
    "end",
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_FACTS), st.integers(-50, 500)), max_size=60))
def test_whatever_happens_in_whatever_order_stages_are_in_order_and_add_up(facts: list[tuple[str, int]]) -> None:
    metrics = TurnMetrics()
    numbers = []
    now = BEGAN
    for position, (fact, step_ms) in enumerate(facts):
        now += step_ms / 1000  # a clock may be set back
        at_sample = position * 1_600
        match fact:
            case "speech":
                metrics.speech_ended(at_sample)
            case "endpoint":
                metrics.endpoint_decided(at_sample, now)
            case "final":
                metrics.stt_final(now)
            case "dismissed":
                metrics.speech_dismissed()
            case "paused":
                metrics.paused()
            case "resumed":
                metrics.resumed()
            case "reply" | "candidate":
                metrics.reply_started(fact == "candidate", now)
            case "hit" | "miss":
                metrics.speculation(fact == "hit")
            case "token":
                metrics.llm_first_token(now)
            case "audio":
                metrics.tts_first_audio(now)
            case "packet":
                metrics.first_packet_out(now)
            case _:
                turn = metrics.turn_finished(False, now)
                if turn is None:
                    continue
                numbers.append(turn.number)
                edges = [turn.began_s, *(edge for span in turn.spans for edge in (span.began_s, span.ended_s))]
                assert [*edges, turn.ended_s] == sorted([*edges, turn.ended_s])
                assert [STAGES.index(span.stage) for span in turn.spans] == sorted(
                    STAGES.index(span.stage) for span in turn.spans
                )
                if turn.first_audio_s is not None:
                    assert sum(span.duration_s for span in turn.spans) == pytest.approx(turn.first_audio_s, abs=1e-6)
    assert numbers == list(range(1, len(numbers) + 1))
