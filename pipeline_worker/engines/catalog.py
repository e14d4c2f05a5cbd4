"""From the words in an agent file to running engines, shared by all sessions of the process."""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline_worker.engines.protocols import LanguageModel, SpeechToText, TextToSpeech, VoiceActivityDetector
from shared.agent import AgentDefinition


class Engines(NamedTuple):
    """What one session talks to. Only `lm` is the session's own, to be closed by it; the others outlive it."""

    vad: VoiceActivityDetector
    stt: SpeechToText
    lm: LanguageModel
    tts: TextToSpeech


class Catalog:
    """The engines that the conversation-mode agents need, each loaded once per process."""

    def __init__(self, agents: Mapping[str, AgentDefinition]) -> None:
        self._agents = {id_: agent for id_, agent in agents.items() if agent.mode == "conversation"}

    async def start(self) -> None:
        """Loads and tries every engine. Raises `ConfigError` naming agent, field and cure."""
        raise NotImplementedError

    def open(self, agent_id: str) -> Engines:
        """The engines for one session: cheap, nothing is loaded. KeyError for an agent that needs none."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends helpers and threads. Idempotent; streams still open fail with `EngineError`."""
        raise NotImplementedError
