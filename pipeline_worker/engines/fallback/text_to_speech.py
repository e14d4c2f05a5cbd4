"""Text to speech with a fallback, which continues where the first engine stopped."""

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import takewhile

from pipeline_worker.engines.guard import Guarded
from pipeline_worker.engines.protocols import SpeechPiece, TextToSpeech, Word
from pipeline_worker.engines.resampling import Resampler
from pipeline_worker.text.sentences import CLAUSE_END
from pipeline_worker.text.word_alignment import CHARACTERS_PER_SECOND, estimated_ends, last_in_common, slow_samples
from shared.audio import samples_in
from shared.errors import EngineError

_LONGEST_PAUSE_MS = 500
"""Longer sound after the last known word contains words that the engine did not report."""


class FallbackTextToSpeech:
    """Shared by the sessions of an agent. All speech has the first engine's rate.

    If the first engine stops inside a text, its word times show which words are left for the fallback. A word that was
    cut is repeated. Without word times the fallback starts at the last clause that the first engine must have reached:
    a few repeated words are better than a missing one.
    """

    def __init__(self, first: Guarded[TextToSpeech], fallback: Guarded[TextToSpeech] | None = None) -> None:
        self._first = first
        self._fallback = fallback
        self.sample_rate = first.engine.sample_rate

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        fallback = self._fallback
        speech = _Speech(text, self.sample_rate)
        if fallback is None or self._first.guard.admits():
            try:
                async with aclosing(_pieces(self._first, text)) as pieces:
                    async for piece in pieces:
                        yield speech.add(piece)
                return
            except EngineError:
                if fallback is None:
                    raise
            text = speech.break_off()
        if text:
            self._first.guard.count_fallback()
            async with aclosing(_at_rate(self.sample_rate, fallback, text)) as pieces:
                async for piece in pieces:
                    yield speech.add(piece)

    async def close(self) -> None:
        """Closed with its provider."""


class _Speech:
    """The speech of `text` so far. Words are passed on with the sound that completes them."""

    def __init__(self, text: str, sample_rate: int) -> None:
        self._text = text
        self._rate = sample_rate
        self._samples = 0
        self._given: list[Word] = []
        self._ahead: tuple[Word, ...] = ()
        self._broke_off_at = 0
        self._is_estimated = False

    def add(self, piece: SpeechPiece) -> SpeechPiece:
        self._samples += len(piece.samples)
        if not self._is_estimated:
            self._ahead += tuple(Word(word.text, self._broke_off_at + word.end_sample) for word in piece.words)
        complete = tuple(takewhile(lambda word: word.end_sample <= self._samples, self._ahead))
        self._ahead = self._ahead[len(complete) :]
        self._given += complete
        return SpeechPiece(piece.samples, complete)

    def break_off(self) -> str:
        """Ends the first engine's speech. Returns the part of the text that is left for the fallback.

        Words without times, of both engines, are assumed to be said slowly.
        """
        text, given = self._text, [word.text for word in self._given]
        last_end = max((word.end_sample for word in (*self._given, *self._ahead)), default=0)
        silence = samples_in(_LONGEST_PAUSE_MS, self._rate)
        self._ahead, self._broke_off_at = (), self._samples
        words, timed = last_in_common(text.split(), given)
        at = [*(word.start() for word in re.finditer(r"\S+", text)), len(text)][words]
        if self._samples and (not last_end or timed < len(given) or self._samples - last_end > silence):
            timed_up_to = self._given[timed - 1].end_sample if timed else 0
            said = at + (self._samples - timed_up_to) * CHARACTERS_PER_SECOND // self._rate
            begins = max((end.end() for end in CLAUSE_END.finditer(text, at) if end.end() <= said), default=at)
            self._ahead = tuple(self._estimated(text[at:], timed_up_to, text[at:begins]))
            self._is_estimated = True
            at = begins
        return text[at:] if re.search(r"\w", text[at:]) else ""

    def _estimated(self, rest: str, from_sample: int, skipped: str) -> Iterator[Word]:
        """The words of `rest`, which the first engine began at `from_sample`. The fallback says all but the `skipped`
        beginning. A word that the first engine surely said counts from there."""
        words = rest.split()
        for word, end in zip(words, estimated_ends(words, slow_samples(rest, self._rate)), strict=True):
            first_end = from_sample + end
            again_end = self._samples + end - slow_samples(skipped, self._rate)
            yield Word(word, first_end if first_end <= self._samples else again_end)


async def _at_rate(sample_rate: int, tts: Guarded[TextToSpeech], text: str) -> AsyncGenerator[SpeechPiece, None]:
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


def _pieces(tts: Guarded[TextToSpeech], text: str) -> AsyncGenerator[SpeechPiece, None]:
    return tts.guard.outputs(tts.engine.speak(text), _is_heard)


def _is_heard(piece: SpeechPiece) -> bool:
    return bool(len(piece.samples))
