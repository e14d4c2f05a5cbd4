"""Text to speech by eSpeak NG in a helper process, sentence by sentence, with word times."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import numpy as np
from pydantic import Field

from pipeline_worker.engines.helper.process import HelperProcess
from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import SpeechPiece, Word
from pipeline_worker.engines.resampling import Resampler
from pipeline_worker.engines.retry import retried
from pipeline_worker.text.sentences import split_sentences, without_abbreviation_stops
from shared.agent import AgentDefinition
from shared.audio import Pcm, as_samples, samples_in
from shared.errors import ConfigError, EngineError

_SAMPLE_RATE = 24_000
_ESPEAK_RATE = 22_050
_ANSWER_TIMEOUT_S = 5.0
_LEADING_SILENCE_MS = 30
_SILENCE_PEAK = 64
"""-54 dBFS. A quieter beginning is inaudible and is trimmed."""


class EspeakOptions(Options):
    voice: str = Field("en-us", pattern=r"^[\w+/ -]{1,60}$", description="an eSpeak NG voice, e.g. en-us, de, en+f3")
    rate: int = Field(165, ge=80, le=450, description="words per minute")
    pitch: int = Field(50, ge=0, le=99)
    volume: int = Field(100, ge=0, le=200)
    sentence_pause_ms: int = Field(250, ge=0, le=2000)


class _Sentence:
    """Combines a sentence's samples and word starts into speech with word ends, at the helper's rate.

    A word ends where the next one begins, so the speech of the newest word is held back.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._begun: list[tuple[int, int]] = []
        self._samples: Pcm = np.zeros(0, dtype=np.int16)
        self._given = 0
        self._given_words = 0

    def take(self, samples: Pcm, words: list[list[int]]) -> tuple[Pcm, list[Word]]:
        """Returns the speech whose words are complete. `end_sample` counts from the start of the sentence."""
        self._samples = np.concatenate((self._samples, samples))
        for character, sample in words:
            inside_a_word = character > 0 and not self._text[character - 1].isspace()
            if not inside_a_word or not self._begun:
                self._begun.append((character if self._begun else 0, sample))
        return self._give(self._begun[-1][1] if self._begun else 0, len(self._begun) - 1)

    def finish(self) -> tuple[Pcm, list[Word]]:
        end = self._given + len(self._samples)
        self._begun.append((len(self._text), end))
        return self._give(end, len(self._begun) - 1)

    def _give(self, until: int, known_words: int) -> tuple[Pcm, list[Word]]:
        count = max(0, min(until - self._given, len(self._samples)))
        samples, self._samples = self._samples[:count], self._samples[count:]
        self._given += count
        words = []
        while self._given_words < known_words and self._begun[self._given_words][1] < self._given:
            (first, _), (after, end) = self._begun[self._given_words : self._given_words + 2]
            words.append(Word(self._text[first:after].strip(), end))
            self._given_words += 1
        return samples, words


class _Output:
    """Resamples to our rate and trims leading silence, from speech and word times."""

    def __init__(self) -> None:
        self._resampler = Resampler(_ESPEAK_RATE, _SAMPLE_RATE)
        self._heard_something = False
        self._trimmed = 0
        self.taken = 0

    def push(self, samples: Pcm, words: list[Word], offset: int) -> SpeechPiece:
        self.taken += len(samples)
        if not self._heard_something:
            samples = self._trim(samples)
        return SpeechPiece(
            self._resampler.push(samples),
            tuple(Word(word.text, self._position(word.end_sample + offset)) for word in words),
        )

    def flush(self) -> SpeechPiece:
        return SpeechPiece(self._resampler.flush(), ())

    def _trim(self, samples: Pcm) -> Pcm:
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _SILENCE_PEAK)
        self._heard_something = bool(len(loud))
        kept = samples_in(_LEADING_SILENCE_MS, _ESPEAK_RATE)
        silent = max(0, int(loud[0]) - kept) if len(loud) else len(samples)
        self._trimmed += silent
        return samples[silent:]

    def _position(self, sample: int) -> int:
        return max(0, round((sample - self._trimmed) * _SAMPLE_RATE / _ESPEAK_RATE))


class EspeakTextToSpeech:
    """Speech of one voice. The helper belongs to the provider."""

    sample_rate = _SAMPLE_RATE

    def __init__(self, helper: HelperProcess, options: EspeakOptions) -> None:
        self._helper = helper
        self._options = options

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """Requests a sentence when the previous one was consumed, so a slow listener costs no memory."""
        output = _Output()
        pause = np.zeros(samples_in(self._options.sentence_pause_ms, _ESPEAK_RATE), dtype=np.int16)
        for sentence in split_sentences(text):
            offset = output.taken
            async with aclosing(retried(partial(self._sentence, sentence))) as parts:
                async for samples, words in parts:
                    piece = output.push(samples, words, offset)
                    if len(piece.samples) or piece.words:
                        yield piece
            if sentence[-1] in ".!?":  # eSpeak NG pauses between the sentences of one text, not at its end.
                yield output.push(pause, [], 0)
        if output.taken:
            yield output.flush()

    async def close(self) -> None:
        """Closed with its provider."""

    async def _sentence(self, text: str) -> AsyncGenerator[tuple[Pcm, list[Word]], None]:
        sentence = _Sentence(text)
        channel = await self._helper.open()
        try:
            voice = self._options.model_dump(include={"voice", "rate", "pitch", "volume"})
            await channel.send({"op": "speak", **voice}, without_abbreviation_stops(text).encode())
            while not (frame := await channel.receive(_ANSWER_TIMEOUT_S)).header.get("last"):
                samples, words = sentence.take(as_samples(frame.body), frame.header["words"])
                if len(samples):
                    yield samples, words
            yield sentence.finish()
        finally:
            channel.close({"op": "cancel"})


class EspeakTextToSpeechProvider:
    """Owns the helper process and knows each agent's voice."""

    def __init__(self) -> None:
        self._helper = HelperProcess("pipeline_worker.engines.espeak_ng.helper", name="eSpeak NG")
        self._voices: dict[str, EspeakOptions] = {}

    @property
    def helper_pids(self) -> list[int]:
        return [] if self._helper.pid is None else [self._helper.pid]

    def add(self, agent: AgentDefinition) -> None:
        self._voices[agent.id] = read_options(agent, "text_to_speech", EspeakOptions)

    async def start(self) -> None:
        """Speaks a word with each voice."""
        for agent_id in self._voices:
            try:
                spoken = sum([len(piece.samples) async for piece in self.open(agent_id).speak("Ready.")])
            except EngineError as error:
                if error.code != "unknown_voice":
                    raise
                raise ConfigError(
                    f"agent '{agent_id}': text_to_speech.options.voice: {error.message}: choose one such as en-us, "
                    "de or fr, or a file of its 'lang' folder"
                ) from error
            if not spoken:
                raise EngineError("eSpeak NG produces no speech")

    def open(self, agent_id: str) -> EspeakTextToSpeech:
        return EspeakTextToSpeech(self._helper, self._voices[agent_id])

    async def close(self) -> None:
        await self._helper.close()
