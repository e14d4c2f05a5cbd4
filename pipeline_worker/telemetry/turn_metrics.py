"""How long each stage of a turn took, from the caller's last sound to the agent's first packet.

Theory of operation. A turn is a reply of the agent and the speech that it answers. The times of caller and agent are
collected separately, because the caller may speak while the agent's turn still runs. They are joined when a reply
starts. A speculative reply starts before its turn is certain: as a candidate, it becomes the turn or is discarded.

A stage counts from the end of the previous one in the order of `STAGES`. It takes no time if it had happened by then,
like a speculative reply's first token, which comes before the endpoint. So the stages add up to the first audio.
"""

from dataclasses import dataclass, field
from typing import Literal

from shared.audio import UPLINK_RATE
from shared.client_events import MetricsEvent

Stage = Literal["endpoint", "stt_final", "llm_first_token", "tts_first_audio", "first_packet"]

STAGES: tuple[Stage, ...] = ("endpoint", "stt_final", "llm_first_token", "tts_first_audio", "first_packet")
_Field = Literal["endpointMs", "sttFinalMs", "llmFirstTokenMs", "ttsFirstAudioMs", "firstPacketMs"]
_FIELDS: dict[Stage, _Field] = {
    "endpoint": "endpointMs",
    "stt_final": "sttFinalMs",
    "llm_first_token": "llmFirstTokenMs",
    "tts_first_audio": "ttsFirstAudioMs",
    "first_packet": "firstPacketMs",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A stage of a turn; times in seconds of the Unix clock."""

    stage: Stage
    began_s: float
    ended_s: float

    @property
    def duration_s(self) -> float:
        return self.ended_s - self.began_s


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that has ended. Turns are numbered from 1, including the greeting.

    `spans` has the stages that happened, in order. `first_audio_s` is the time from the end of the caller's speech to
    the first packet: None if nobody had spoken (a greeting, an answer to typed text) or nothing was heard.
    """

    number: int
    began_s: float
    ended_s: float
    spans: tuple[Span, ...]
    first_audio_s: float | None
    interrupted: bool
    speculative_hit: bool
    false_interruptions: int = 0
    """How often a sound silenced the agent but did not take the floor."""
    resumed: int = 0
    """How often it continued where it had stopped."""

    def event_fields(self) -> MetricsEvent:
        """The fields of the client's `metrics` event, in whole milliseconds, without stages that did not happen."""
        fields: MetricsEvent = {
            "turn": self.number,
            "interrupted": self.interrupted,
            "falseInterruptions": self.false_interruptions,
            "resumed": self.resumed,
            "speculativeHit": self.speculative_hit,
        }
        for span in self.spans:
            fields[_FIELDS[span.stage]] = round(span.duration_s * 1000)
        if self.first_audio_s is not None:
            fields["firstAudioMs"] = round(self.first_audio_s * 1000)
        return fields


@dataclass(slots=True)
class _Heard:
    """What is known of the caller's latest speech."""

    ended_at_sample: int | None = None
    speech_end_s: float | None = None
    endpoint_s: float | None = None
    stt_final_s: float | None = None

    @property
    def complete(self) -> bool:
        """False if it was dropped, and needs no answer."""
        return self.endpoint_s is not None and self.stt_final_s is not None


@dataclass(slots=True)
class _Reply:
    started_s: float
    speculative: bool
    is_answer: bool
    heard: _Heard | None = None
    reached: dict[Stage, float] = field(default_factory=dict)
    fell_silent: bool = False
    """Because of a sound that is still undecided."""
    false_interruptions: int = 0
    resumed: int = 0


class TurnMetrics:
    """The metrics of one session. `now_s` is Unix time; positions are samples of the caller's 16 kHz audio."""

    def __init__(self) -> None:
        self._turns = 0
        self._heard = _Heard()
        self._turn: _Reply | None = None
        self._candidate: _Reply | None = None

    def speech_ended(self, at_sample: int) -> None:
        """The end of the caller's last sound so far. A later call replaces it."""
        self._heard = _Heard(ended_at_sample=at_sample)

    def endpoint_decided(self, at_sample: int, now_s: float) -> None:
        """`at_sample` is the end of the caller's audio so far. Its distance from the last sound is the silence."""
        self._heard.endpoint_s = now_s
        if self._heard.ended_at_sample is not None:
            silence_s = max(0, at_sample - self._heard.ended_at_sample) / UPLINK_RATE
            self._heard.speech_end_s = now_s - silence_s

    def stt_final(self, now_s: float) -> None:
        self._heard.stt_final_s = now_s

    def paused(self) -> None:
        """A sound silenced the agent."""
        if self._turn is not None:
            self._turn.fell_silent = True

    def resumed(self) -> None:
        """The agent continues, even if the sound is still undecided."""
        if self._turn is not None:
            self._turn.resumed += 1

    def speech_dismissed(self) -> bool:
        """The caller's speech did not take the floor. True if it had silenced the agent."""
        self._heard = _Heard()
        if self._turn is None or not self._turn.fell_silent:
            return False
        self._turn.fell_silent = False
        self._turn.false_interruptions += 1
        return True

    def reply_started(self, speculative: bool, now_s: float, is_answer: bool = True) -> None:
        """A turn that was not finished is discarded, unless this reply is speculative.

        A reply that is not an answer (a greeting) has not waited for speech or a model.
        """
        reply = _Reply(now_s, speculative, is_answer)
        if speculative:
            self._candidate = reply
        else:
            self._begin(reply)

    def speculation(self, hit: bool) -> None:
        """The candidate becomes the turn (`hit`) or is discarded."""
        candidate, self._candidate = self._candidate, None
        if hit and candidate is not None:
            self._begin(candidate)

    def llm_first_token(self, now_s: float) -> None:
        reply = self._candidate or self._turn
        if reply is not None and reply.is_answer:
            self._reach("llm_first_token", now_s, reply)

    def tts_first_audio(self, now_s: float) -> None:
        self._reach("tts_first_audio", now_s, self._candidate or self._turn)

    def first_packet_out(self, at_s: float) -> None:
        """By the media worker's clock. A packet before the turn's first audio belongs to an earlier turn."""
        if self._turn is not None and "tts_first_audio" in self._turn.reached:
            self._reach("first_packet", at_s, self._turn)

    def turn_finished(self, interrupted: bool, now_s: float) -> Turn | None:
        """None if no turn runs."""
        reply, self._turn = self._turn, None
        if reply is None:
            return None
        self._turns += 1
        began_s = _origin_s(reply)
        spans = _spans(reply, began_s)
        spoken = reply.heard is not None and reply.heard.speech_end_s is not None
        heard = bool(spans) and spans[-1].stage == "first_packet"
        return Turn(
            number=self._turns,
            began_s=began_s,
            ended_s=max(now_s, spans[-1].ended_s) if spans else max(now_s, began_s),
            spans=spans,
            first_audio_s=spans[-1].ended_s - began_s if spoken and heard else None,
            interrupted=interrupted,
            speculative_hit=reply.speculative,
            false_interruptions=reply.false_interruptions,
            resumed=reply.resumed,
        )

    def _begin(self, reply: _Reply) -> None:
        if self._heard.complete and reply.is_answer:
            reply.heard = self._heard
        self._heard = _Heard()
        self._candidate = None
        self._turn = reply

    @staticmethod
    def _reach(stage: Stage, at_s: float, reply: _Reply | None) -> None:
        if reply is not None:
            reply.reached.setdefault(stage, at_s)


def _origin_s(reply: _Reply) -> float:
    heard = reply.heard
    if heard is None or heard.endpoint_s is None:
        return reply.started_s
    return heard.endpoint_s if heard.speech_end_s is None else heard.speech_end_s


def _spans(reply: _Reply, began_s: float) -> tuple[Span, ...]:
    reached = dict(reply.reached)
    if reply.heard is not None and reply.heard.stt_final_s is not None:
        reached["stt_final"] = reply.heard.stt_final_s
    if reply.heard is not None and reply.heard.endpoint_s is not None and reply.heard.speech_end_s is not None:
        reached["endpoint"] = reply.heard.endpoint_s
    spans: list[Span] = []
    latest_s = began_s
    for stage in STAGES:
        if stage in reached:
            ended_s = max(latest_s, reached[stage])
            spans.append(Span(stage, latest_s, ended_s))
            latest_s = ended_s
    return tuple(spans)
