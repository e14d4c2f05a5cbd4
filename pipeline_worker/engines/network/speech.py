"""Speech of remote vendors: joins samples and word times, which arrive separately, and retries once."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

import numpy as np

from pipeline_worker.engines.network.errors import ConnectionLostError, broken
from pipeline_worker.engines.protocols import SpeechPiece, Word
from pipeline_worker.engines.retry import retried
from shared.audio import Pcm, samples_in
from shared.errors import EngineError

SAMPLE_RATE = 24_000
_TAIL_SAMPLES = samples_in(10, SAMPLE_RATE)


class TimedSpeech:
    """Speech of one text. Holds a few samples back until the end, to send the last words with.

    Words are sent with samples only, and a vendor may send them after all of its audio. A word's end is limited to the
    end of the speech, because times are rounded and not always right.
    """

    def __init__(self) -> None:
        self._samples: Pcm = np.zeros(0, dtype=np.int16)
        self._words: list[Word] = []
        self._given = 0

    def push(self, samples: Pcm, words: Sequence[Word] = ()) -> SpeechPiece | None:
        self.add_words(words)
        self._samples = np.concatenate((self._samples, samples))
        return self._give(len(self._samples) - _TAIL_SAMPLES)

    def add_words(self, words: Sequence[Word]) -> None:
        """Adds words to the next piece."""
        self._words += words

    def finish(self) -> SpeechPiece | None:
        end = self._given + len(self._samples)
        self._words = [Word(word.text, min(word.end_sample, end)) for word in self._words]
        return self._give(len(self._samples))

    def _give(self, count: int) -> SpeechPiece | None:
        if count <= 0:
            return None
        samples, self._samples = self._samples[:count], self._samples[count:]
        words, self._words = tuple(self._words), []
        self._given += count
        return SpeechPiece(samples, words)


async def spoken(
    vendor: str, text: str, attempt: Callable[[str], AsyncGenerator[SpeechPiece, None]]
) -> AsyncGenerator[SpeechPiece, None]:
    """The speech of `text` by `attempt`, tried again if the connection was lost before any speech.

    The vendor may just have closed a warm connection.
    """
    if not any(map(str.isalnum, text)):
        return  # only punctuation: vendors refuse it or invent a sound
    given = False
    async with aclosing(retried(partial(attempt, text), _is_lost)) as pieces:
        async for piece in pieces:
            given = True
            yield piece
    if not given:
        raise broken(vendor, "no speech at all")


def _is_lost(error: EngineError) -> bool:
    return isinstance(error, ConnectionLostError)
