"""Text to speech that speaks in time, by its fallback if need be, which goes on where the first engine stopped."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import takewhile

from pipeline_worker.engines.engine_watch import Watched
from pipeline_worker.engines.protocols import SpeechPiece, TextToSpeech, Word
from pipeline_worker.engines.resampling import Resampler
from shared.audio import Pcm, samples_in
from shared.errors import EngineError

_LONGEST_PAUSE_MS = 500
"""Sound that goes on for longer than this after the last word that is known holds words that are not."""


class ReliableTextToSpeech:
    """Shared by the sessions of an agent. All its speech has the first engine's rate.

    When the first engine stops inside a text, its word times tell which words are left for the fallback; a word that
    was cut is said again in full. Without word times nobody knows, and it fails.
    """

    def __init__(self, first: Watched[TextToSpeech], fallback: Watched[TextToSpeech] | None = None) -> None:
        self._first = first
        self._fallback = fallback
        self.sample_rate = first.engine.sample_rate

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        fallback = self._fallback
        speech = _Speech(self.sample_rate)
        if fallback is None or self._first.watch.admits():
            try:
                async with aclosing(_pieces(self._first, text)) as pieces:
                    async for piece in pieces:
                        yield speech.add(piece.samples, piece.words)
                return
            except EngineError:
                rest = speech.rest_of(text)
                if fallback is None or rest is None:
                    raise
            text = rest
        if text:
            self._first.watch.stood_in_for()
            async with aclosing(_at_rate(self.sample_rate, fallback, text)) as pieces:
                begins = speech.cut()
                async for piece in pieces:
                    words = tuple(Word(word.text, begins + word.end_sample) for word in piece.words)
                    yield speech.add(piece.samples, words)

    async def close(self) -> None:
        """Closed with its provider."""


class _Speech:
    """What was given of a text. Words are given with the sound that completes them."""

    def __init__(self, sample_rate: int) -> None:
        self._longest_pause = samples_in(_LONGEST_PAUSE_MS, sample_rate)
        self._samples = 0
        self._given: list[Word] = []
        self._ahead: tuple[Word, ...] = ()

    def add(self, samples: Pcm, words: tuple[Word, ...]) -> SpeechPiece:
        self._samples += len(samples)
        known = self._ahead + words
        complete = tuple(takewhile(lambda word: word.end_sample <= self._samples, known))
        self._ahead = known[len(complete) :]
        self._given += complete
        return SpeechPiece(samples, complete)

    def cut(self) -> int:
        """No more comes of the words that are not complete. Returns where the speech stands."""
        self._ahead = ()
        return self._samples

    def rest_of(self, text: str) -> str | None:
        """The words of `text` that are not complete; None if nobody can tell."""
        if not self._samples:
            return text
        known_up_to = [word.end_sample for word in (*self._given, *self._ahead)]
        if not known_up_to or self._samples - known_up_to[-1] > self._longest_pause:
            return None
        at = 0
        for word in self._given:
            found = text.find(word.text, at)
            if found < 0:
                return None
            at = found + len(word.text)
        rest = text[at:]
        return rest.strip() if re.search(r"\w", rest) else ""


async def _at_rate(sample_rate: int, tts: Watched[TextToSpeech], text: str) -> AsyncGenerator[SpeechPiece, None]:
    from_rate = tts.engine.sample_rate
    async with aclosing(_pieces(tts, text)) as pieces:
        if from_rate == sample_rate:
            async for piece in pieces:
                yield piece
            return
        resampler = Resampler(from_rate, sample_rate)
        async for piece in pieces:
            words = (Word(word.text, round(word.end_sample * sample_rate / from_rate)) for word in piece.words)
            yield SpeechPiece(resampler.push(piece.samples), tuple(words))
        yield SpeechPiece(resampler.flush(), ())


def _pieces(tts: Watched[TextToSpeech], text: str) -> AsyncGenerator[SpeechPiece, None]:
    return tts.watch.outputs(tts.engine.speak(text), _is_heard)


def _is_heard(piece: SpeechPiece) -> bool:
    return bool(len(piece.samples))
