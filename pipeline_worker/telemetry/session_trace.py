"""The pipeline worker's part of a session's trace: a span `session`, in it turns, in them their stages.

The spans of a turn are made after it, from measured times. They hold times and engines, never what was said. A stage's
span ends with its first output. Attributes follow OpenTelemetry's conventions for sessions and generative AI
(`session.id`, `gen_ai.*`); the others are under `antiphon.`.
"""

from pipeline_worker.telemetry.turn_metrics import Stage, Turn
from shared.agent import AgentDefinition, EngineChoice
from shared.events import StartPipeline
from shared.io.tracing import Attributes, begin_span


class SessionTrace:
    """Does nothing if this process does not trace."""

    def __init__(self, agent: AgentDefinition, job: StartPipeline, at_s: float) -> None:
        self._common: Attributes = {
            "session.id": job.session,
            "gen_ai.conversation.id": job.session,
            "gen_ai.agent.id": agent.id,
        }
        self._stages = _stage_attributes(agent)
        attributes = {**self._common, "antiphon.session.epoch": job.epoch, "antiphon.session.resumed": job.resumed}
        self._span = begin_span("session", at_s, session=job.session, parent=job.traceparent, attributes=attributes)

    def turn(self, turn: Turn) -> None:
        attributes: Attributes = {
            **self._common,
            "gen_ai.operation.name": "invoke_agent",
            "antiphon.turn.number": turn.number,
            "antiphon.turn.interrupted": turn.interrupted,
            "antiphon.turn.false_interruptions": turn.false_interruptions,
            "antiphon.turn.resumed": turn.resumed,
            "antiphon.turn.speculative_hit": turn.speculative_hit,
        }
        if turn.first_audio_s is not None:
            attributes = {**attributes, "antiphon.turn.first_audio_s": turn.first_audio_s}
        whole = self._span.child("turn", turn.began_s, attributes)
        for span in turn.spans:
            of_engine = self._stages.get(span.stage)
            stage = whole.child(span.stage, span.began_s, {**self._common, **(of_engine or {})}, of_engine is not None)
            stage.end(span.ended_s)
        whole.end(turn.ended_s)

    def end(self, at_s: float, how: str) -> None:
        """Idempotent."""
        self._span.end(at_s, {"antiphon.session.ended": how}, error="pipeline_error" if how == "failed" else "")


def _stage_attributes(agent: AgentDefinition) -> dict[Stage, Attributes]:
    return {
        "stt_final": _engine_attributes(agent.speech_to_text),
        "llm_first_token": {**_engine_attributes(agent.language_model), "gen_ai.operation.name": "chat"},
        "tts_first_audio": _engine_attributes(agent.text_to_speech),
    }


def _engine_attributes(choice: EngineChoice) -> Attributes:
    """As in the agent file: it is not known here whether an engine or its fallback served."""
    model = choice.options.get("model")
    named: Attributes = {"gen_ai.request.model": model} if isinstance(model, str) else {}
    return {"gen_ai.provider.name": choice.engine, **named}
