"""Text to speech by Piper voices in helper processes, slice by slice, with word times."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

import numpy as np

from pipeline_worker.engines.helper.process import HelperProcess
from pipeline_worker.engines.piper.options import SECTION, PiperOptions, read_piper_options
from pipeline_worker.engines.protocols import SpeechPiece, Word
from pipeline_worker.engines.resampling import Resampler
from pipeline_worker.engines.retry import retried
from pipeline_worker.text.sentences import CLAUSE_END, split_sentences, without_abbreviation_stops
from shared.agent import AgentDefinition
from shared.audio import Pcm, as_samples, samples_in
from shared.errors import ConfigError, EngineError

_SAMPLE_RATE = 24_000
_ANSWER_TIMEOUT_S = 30.0
_LOAD_TIMEOUT_S = 120.0
_LONG_SENTENCE = 150
"""In characters, about 9 s of speech. Encoding it takes 0.2 s of a core before the first sound."""


class _Sentence:
    """Resamples a sentence's slices to our rate and adds its words."""

    def __init__(self, text: str) -> None:
        self._words = text.split()
        self._ends: list[int] = []
        self._resampler: Resampler | None = None
        self._given = 0
        self._given_words = 0

    def take(self, header: dict[str, Any], samples: Pcm) -> SpeechPiece:
        if self._resampler is None:
            self._resampler = Resampler(header["sample_rate"], _SAMPLE_RATE)
            self._ends = [round(end * _SAMPLE_RATE / header["sample_rate"]) for end in header["word_ends"]]
        pieces = [self._resampler.push(samples)]
        if header.get("last"):
            pieces.append(self._resampler.flush())
        speech = np.concatenate(pieces)
        self._given += len(speech)
        return SpeechPiece(speech, tuple(self._begun_words(bool(header.get("last")))))

    def _begun_words(self, last: bool) -> Iterator[Word]:
        """A word begins where the one before it ends."""
        while self._given_words < len(self._words):
            number = self._given_words
            if not last and number and self._ends[number - 1] >= self._given:
                return
            self._given_words += 1
            yield Word(self._words[number], self._ends[number])


class PiperTextToSpeech:
    """Speech of one voice. The helpers belong to the provider."""

    sample_rate = _SAMPLE_RATE

    def __init__(self, helpers: list[HelperProcess], options: PiperOptions) -> None:
        self._helpers = helpers
        self._options = options
        self._played_until = 0.0
        """When the speech so far will be played out, unless it is interrupted."""

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """Requests a slice when the previous one was consumed, so work stops when the listener stops."""
        given = 0
        is_whole = False
        pause: Pcm = np.zeros(samples_in(self._options.sentence_pause_ms, _SAMPLE_RATE), dtype=np.int16)
        try:
            for sentence in _parts(text):
                begin = given
                async with aclosing(retried(partial(self._sentence, sentence))) as pieces:
                    async for piece in pieces:
                        given += len(piece.samples)
                        self._give(len(piece.samples))
                        words = tuple(Word(word.text, word.end_sample + begin) for word in piece.words)
                        yield SpeechPiece(piece.samples, words)
                if sentence[-1] in ".!?":
                    self._give(len(pause))
                    yield SpeechPiece(pause, ())
                    given += len(pause)
            is_whole = True
        finally:
            if not is_whole:
                self._played_until = 0.0  # An interruption discards unplayed speech.

    async def close(self) -> None:
        """Closed with its provider."""

    def _give(self, samples: int) -> None:
        self._played_until = max(self._played_until, _now()) + samples / _SAMPLE_RATE

    async def _sentence(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        helper = min(self._helpers, key=lambda helper: helper.open_channels)
        sentence = _Sentence(text)
        channel = await helper.open()
        try:
            voice = {
                "model": str(self._options.file),
                "speaker": self._options.speaker,
                "length_scale": self._options.length_scale,
                "in_hand_s": max(0.0, self._played_until - _now()),
            }
            await channel.send({"op": "speak", **voice}, without_abbreviation_stops(text).encode())
            while not (frame := await channel.receive(_ANSWER_TIMEOUT_S)).header.get("last"):
                yield sentence.take(frame.header, as_samples(frame.body))
                await channel.send({"op": "more"})
            yield sentence.take(frame.header, as_samples(frame.body))
        finally:
            channel.close({"op": "cancel"})


class PiperTextToSpeechProvider:
    """Owns the helper processes and knows each agent's voice."""

    def __init__(self) -> None:
        self._voices: dict[str, PiperOptions] = {}
        self._helpers: list[HelperProcess] = []

    @property
    def helper_pids(self) -> list[int]:
        return [helper.pid for helper in self._helpers if helper.pid is not None]

    def add(self, agent: AgentDefinition) -> None:
        self._voices[agent.id] = read_piper_options(agent)

    async def start(self) -> None:
        """Loads the voices and speaks a word with each."""
        self._helpers = [
            HelperProcess("pipeline_worker.engines.piper.helper", name="Piper", prepare=self._load)
            for _ in range(max(options.processes for options in self._voices.values()))
        ]
        for agent_id in self._voices:
            try:
                for helper in self._helpers:
                    (await helper.open()).close()
                spoken = sum([len(piece.samples) async for piece in self.open(agent_id).speak("Ready.")])
            except EngineError as error:
                if error.code != "bad_model":
                    raise
                raise ConfigError(
                    f"agent '{agent_id}': {SECTION}.options.model: it cannot be loaded: {error.message}: "
                    f"{self._voices[agent_id].cure}"
                ) from error
            if not spoken:
                raise EngineError("Piper produces no speech")

    def open(self, agent_id: str) -> PiperTextToSpeech:
        if not self._helpers:
            raise EngineError("the Piper helpers are not started")
        return PiperTextToSpeech(self._helpers, self._voices[agent_id])

    async def close(self) -> None:
        for helper in self._helpers:
            await helper.close()

    async def _load(self, helper: HelperProcess) -> None:
        speakers: dict[tuple[str, str | None], dict[int | None, None]] = {}
        for options in self._voices.values():
            speakers.setdefault((str(options.file), options.sha256), {})[options.speaker] = None
        voices = [
            {"model": model, "sha256": sha256, "speakers": list(numbers)}
            for (model, sha256), numbers in speakers.items()
        ]
        channel = helper.open_now()
        try:
            await channel.send({"op": "load", "voices": voices})
            await channel.receive(_LOAD_TIMEOUT_S)
        finally:
            channel.close()


def _parts(text: str) -> Iterator[str]:
    """Splits `text` into sentences, and long sentences after a clause."""
    for sentence in split_sentences(text):
        rest = sentence
        while len(rest) > _LONG_SENTENCE and (clauses := [found.end() for found in CLAUSE_END.finditer(rest)]):
            end = max((end for end in clauses if end <= _LONG_SENTENCE), default=clauses[0])
            yield rest[:end].strip()
            rest = rest[end:]
        if rest:
            yield rest


def _now() -> float:
    return asyncio.get_running_loop().time()
