"""The engine protocols: a provider per engine opens a recognizer, language model or voice for each session.

An `async` method may take long but must not block the event loop. Cancelling one must leave the engine usable.
All raise `shared.errors.EngineError` when they fail.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from pipeline_worker.turns.conversation import Entry as Entry
from pipeline_worker.turns.conversation import ToolCall as ToolCall
from pipeline_worker.turns.conversation import Utterance as Utterance
from shared.agent import AgentDefinition
from shared.audio import Pcm
from shared.errors import EngineError

Engine = TypeVar("Engine", covariant=True)


class Transcript(NamedTuple):
    """Recognized words. `text` is empty if there was speech but no words were recognized."""

    text: str
    final: bool


class Word(NamedTuple):
    """A word and its end, in samples from the start of its speech."""

    text: str
    end_sample: int


class SpeechPiece(NamedTuple):
    """A piece of mono speech at `TextToSpeech.sample_rate`, and the words that begin in it."""

    samples: Pcm
    words: tuple[Word, ...]


class Reply(NamedTuple):
    """A piece of the agent's answer. `end_call` on the last piece ends the session after it was played.

    A piece with `tool_calls` is the last one: the model is asked again once the results are in the conversation.
    """

    text: str
    end_call: bool = False
    tool_calls: tuple[ToolCall, ...] = ()


class Provider(Protocol[Engine]):
    """What a process holds for one engine: models, helper processes, connections.

    A provider with helper processes lists them in an attribute `helper_pids`.
    """

    def add(self, agent: AgentDefinition) -> None:
        """Reads the agent's options. Raises `ConfigError` naming agent, field and cure."""
        ...

    async def start(self) -> None:
        """Loads what the added agents need and tries it."""
        ...

    def open(self, agent_id: str) -> Engine:
        """The engine for one session of the agent. Loads nothing and does not wait."""
        ...

    async def close(self) -> None:
        """Idempotent. Streams that are still open fail with `EngineError`."""
        ...


class VoiceActivityDetector(Protocol):
    """Speech probability, batched over all sessions of the process."""

    chunk_samples: int
    """Samples of 16 kHz mono that make one probability."""

    tail_samples: int
    """How long it still reports speech after the last sound (measured median)."""

    def open(
        self, on_probabilities: Callable[[list[float]], None], on_failure: Callable[[EngineError], None]
    ) -> "VoiceActivityStream":
        """One session's stream. After `on_failure` the stream is closed."""
        ...


class VoiceActivityStream(Protocol):
    def push(self, pcm: bytes) -> list[float] | None:
        """Takes 16 kHz mono and returns the probabilities (0..1) of the chunks that it completes, oldest first.

        None: not known yet. `on_probabilities` or `on_failure` is called later; push nothing before that. Does not
        block.
        """
        ...

    def close(self) -> None: ...


class SpeechToText(Protocol):
    """Opens a stream per utterance."""

    def open(self) -> "SpeechToTextStream": ...

    async def close(self) -> None: ...


class SpeechToTextStream(Protocol):
    """One utterance. A stream that is finished or cancelled takes nothing more."""

    async def push(self, samples: Pcm) -> Transcript | None:
        """Takes 16 kHz mono, about 100 ms at a time. Does not wait for the result.

        Returns the interim transcript of earlier samples, if there is a new one.
        """
        ...

    async def finish(self) -> Transcript:
        """Ends the utterance and returns its final transcript."""
        ...

    async def cancel(self) -> None:
        """Gives the utterance up. Idempotent."""
        ...


class LanguageModel(Protocol):
    """Answers for one session. May keep state between turns."""

    def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        """The answer to the last entry, as it forms. Close the generator to give the answer up."""
        ...

    async def close(self) -> None: ...


class TextToSpeech(Protocol):
    sample_rate: int
    """One of `shared.audio.OPUS_RATES`."""

    def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """The speech of `text`, piece by piece. Close the generator to stop it."""
        ...

    async def close(self) -> None: ...
