"""The protocols that engines implement. Small on purpose: an engine is one module that fits one of these.

An `async` method may take long, but must not block the event loop. Cancelling it must leave the engine usable. All
raise `shared.errors.EngineError` on failure.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from pipeline_worker.turns.conversation import Entry as Entry
from pipeline_worker.turns.conversation import ToolCall as ToolCall
from pipeline_worker.turns.conversation import Utterance as Utterance
from shared.audio import Pcm


class Transcript(NamedTuple):
    """Words heard. `text` is empty if speech was heard but not understood."""

    text: str
    final: bool


class Word(NamedTuple):
    """A word and where it ends, in samples from the beginning of the speech that it belongs to."""

    text: str
    end_sample: int


class SpeechPiece(NamedTuple):
    """A piece of speech at `TextToSpeech.sample_rate`, mono, and the words that begin in it."""

    samples: Pcm
    words: tuple[Word, ...]


class Reply(NamedTuple):
    """A piece of the agent's answer. `end_call` on the last piece ends the session once it was heard.

    After a piece with `tool_calls` the model is asked again, with the results in the conversation.
    """

    text: str
    end_call: bool = False
    tool_calls: tuple[ToolCall, ...] = ()


class VoiceActivityDetector(Protocol):
    """Speech probability, batched over all sessions of the process."""

    chunk_samples: int
    """Samples of 16 kHz mono that one call takes for each session."""

    tail_samples: int
    """How long it reports speech after the last sound, as a median of measurements."""

    def open(self) -> "VoiceActivityStream": ...


class VoiceActivityStream(Protocol):
    """One session's state. `push` returns the probabilities (0..1) of the whole chunks it completed, oldest first."""

    async def push(self, samples: Pcm) -> list[float]: ...

    def close(self) -> None: ...


class SpeechToText(Protocol):
    """Hands out a stream per utterance."""

    def open(self) -> "SpeechToTextStream": ...

    async def close(self) -> None: ...


class SpeechToTextStream(Protocol):
    """One utterance. `push` takes 16 kHz mono and may return the hypothesis so far."""

    async def push(self, samples: Pcm) -> Transcript | None: ...

    async def finish(self) -> Transcript:
        """The utterance is over: the final text. The stream is closed."""
        ...

    async def cancel(self) -> None: ...


class LanguageModel(Protocol):
    """Answers for one session; it may keep state between turns."""

    def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        """The answer to the last entry, as it forms. Close the generator to give the answer up."""
        ...

    async def close(self) -> None: ...


class TextToSpeech(Protocol):
    """Speaks text."""

    sample_rate: int
    """Rate of the samples it returns: one of `shared.audio.OPUS_RATES`."""

    def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """The speech of `text`, piece by piece, as soon as there is some. Close the generator to stop it."""
        ...

    async def close(self) -> None: ...
