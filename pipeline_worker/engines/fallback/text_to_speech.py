"""Text to speech with a fallback, which continues where the first engine stopped."""

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import takewhile

from pipeline_worker.engines.guard import Guarded
from pipeline_worker.engines.protocols import SpeechPiece, TextToSpeech, Word
from pipeline_worker.engines.resampling import Resampler
from pipeline_worker.text.sentences import CHARACTERS_PER_SECOND, CLAUSE_END
from shared.audio import Pcm, samples_in
from shared.errors import EngineError

_LONGEST_PAUSE_MS = 500
"""Longer sound after the last known word holds unknown words."""


class FallbackTextToSpeech:
    """Shared by the sessions of an agent. All its speech has the first engine's rate.

    If the first engine stops inside a text, its word times show which words are left for the fallback, which repeats a
    cut word in full. Without word times the fallback repeats the clause that the first engine has surely reached:
    better a few words twice than one missing.
    """

    def __init__(self, first: Guarded[TextToSpeech], fallback: Guarded[TextToSpeech] | None = None) -> None:
        self._first = first
        self._fallback = fallback
        self.sample_rate = first.engine.sample_rate

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        fallback = self._fallback
        speech = _Speech(self.sample_rate)
        if fallback is None or self._first.guard.admits():
            try:
                async with aclosing(_pieces(self._first, text)) as pieces:
                    async for piece in pieces:
                        yield speech.add(piece.samples, piece.words)
                return
            except EngineError:
                if fallback is None:
                    raise
            text = speech.break_off(text)
        if text:
            self._first.guard.count_fallback()
            async with aclosing(_at_rate(self.sample_rate, fallback, text)) as pieces:
                async for piece in pieces:
                    yield speech.add_rest(piece.samples, piece.words)

    async def close(self) -> None:
        """Closed with its provider."""


class _Speech:
    """The speech of a text so far. Words are given with the sound that completes them."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._samples = 0
        self._given: list[Word] = []
        self._ahead: tuple[Word, ...] = ()
        self._broke_off_at = 0
        self._is_estimated = False

    def add(self, samples: Pcm, words: tuple[Word, ...]) -> SpeechPiece:
        self._samples += len(samples)
        known = self._ahead + words
        complete = tuple(takewhile(lambda word: word.end_sample <= self._samples, known))
        self._ahead = known[len(complete) :]
        self._given += complete
        return SpeechPiece(samples, complete)

    def add_rest(self, samples: Pcm, words: tuple[Word, ...]) -> SpeechPiece:
        """Like `add`, for the speech of the fallback."""
        if self._is_estimated:
            return self.add(samples, ())
        return self.add(samples, tuple(Word(word.text, self._broke_off_at + word.end_sample) for word in words))

    def break_off(self, text: str) -> str:
        """The first engine has stopped. Returns what is left of `text` for the fallback.

        Words of either engine without times are assumed to be spoken slowly.
        """
        told = [word.end_sample for word in (*self._given, *self._ahead)]
        at, told_up_to = self._end_of_given(text)
        self._ahead, self._broke_off_at = (), self._samples
        silent = samples_in(_LONGEST_PAUSE_MS, self._rate)
        if self._samples and (not told or at is None or self._samples - told[-1] > silent):
            at = at or 0
            said = at + (self._samples - told_up_to) * CHARACTERS_PER_SECOND // self._rate
            begins = max((end.end() for end in CLAUSE_END.finditer(text, at) if end.end() <= said), default=at)
            self._ahead = tuple(self._slowly(text, at, told_up_to, begins))
            self._is_estimated = True
            at = begins
        rest = text[at:]
        return rest.strip() if re.search(r"\w", rest) else ""

    def _end_of_given(self, text: str) -> tuple[int | None, int]:
        """Where in `text`, and in the speech, the words end that were given; None if they are not the text's."""
        at = 0
        for word in self._given:
            found = text.find(word.text, at)
            if found < 0:
                return None, 0
            at = found + len(word.text)
        return at, self._given[-1].end_sample if self._given else 0

    def _slowly(self, text: str, at: int, from_sample: int, begins: int) -> Iterator[Word]:
        """The words from `at` on, which the first engine began at `from_sample`; the fallback says again what is from
        `begins` on. Those that were surely heard from the first are not taken back."""
        for word in re.finditer(r"\S+", text[at:]):
            end_sample = from_sample + word.end() * self._rate // CHARACTERS_PER_SECOND
            if end_sample > self._samples:
                end_sample = self._samples + (at + word.end() - begins) * self._rate // CHARACTERS_PER_SECOND
            yield Word(word[0], end_sample)


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
