"""Text to speech by Piper voices on this machine, in helper processes, sentence by sentence.

The times of words are known when the package `onnx` is there too, as the extra has it, and the voice's words are those
of the text: "7:30" is one word of the text and two of the voice.
"""

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline_worker.engines.espeak_tts import sentences
from pipeline_worker.engines.helper_process import HelperProcess
from pipeline_worker.engines.optional_package import require_file, require_package
from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import SpeechPiece, Word
from pipeline_worker.engines.resampling import resampled
from shared.agent import AgentDefinition
from shared.audio import Pcm, as_samples, samples_in
from shared.errors import ConfigError, EngineError

_SECTION = "text_to_speech"
_SAMPLE_RATE = 24_000
_ANSWER_TIMEOUT_S = 30.0
_LOAD_TIMEOUT_S = 120.0


class PiperOptions(Options):
    model: Path = Field(description="the voice's .onnx file; its .onnx.json lies beside it")
    speaker: int | None = Field(None, ge=0, description="number of the speaker, of a voice that has several")
    length_scale: float = Field(1.0, ge=0.3, le=3.0, description="above 1 speaks more slowly")
    sentence_pause_ms: int = Field(250, ge=0, le=2000)
    processes: int = Field(1, ge=1, le=16, description="helper processes, each with a copy of every voice")


class PiperTextToSpeech:
    """Speech of one voice. The helpers belong to the provider."""

    sample_rate = _SAMPLE_RATE

    def __init__(self, helpers: list[HelperProcess], options: PiperOptions) -> None:
        self._helpers = helpers
        self._options = options

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """A sentence is asked for when the one before was taken, so a slow listener costs no memory."""
        given = 0
        pause: Pcm = np.zeros(samples_in(self._options.sentence_pause_ms, _SAMPLE_RATE), dtype=np.int16)
        for sentence in sentences(text):
            samples, ends = await self._sentence(sentence)
            words = _words(sentence)
            known = ends if len(ends) == len(words) else []
            yield SpeechPiece(samples, tuple(map(Word, words, (given + end for end in known))))
            given += len(samples)
            if sentence[-1] in ".!?":
                yield SpeechPiece(pause, ())
                given += len(pause)

    async def close(self) -> None:
        """Closed with its provider."""

    async def _sentence(self, text: str) -> tuple[Pcm, list[int]]:
        """Tries once more when the helper dies."""
        try:
            return await self._attempt(text)
        except EngineError as error:
            if error.code != EngineError.code:
                raise
            return await self._attempt(text)

    async def _attempt(self, text: str) -> tuple[Pcm, list[int]]:
        helper = min(self._helpers, key=lambda helper: helper.open_channels)
        channel = await helper.open()
        pieces: list[Pcm] = []
        ends: list[int] = []
        rate = _SAMPLE_RATE
        try:
            voice = {
                "voice": str(self._options.model),
                "speaker": self._options.speaker,
                "length_scale": self._options.length_scale,
            }
            await channel.send({"op": "speak", **voice}, text.encode())
            while not (frame := await channel.receive(_ANSWER_TIMEOUT_S)).header.get("last"):
                rate = frame.header["sample_rate"]
                pieces.append(as_samples(frame.body))
                ends += frame.header["word_ends"]
        finally:
            channel.close({"op": "cancel"})
        samples: Pcm = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int16)
        if rate != _SAMPLE_RATE:
            samples = resampled(samples, rate, _SAMPLE_RATE)
        return samples, [min(len(samples), round(end * _SAMPLE_RATE / rate)) for end in ends]


class Provider:
    """The helper processes, and the voice of each agent."""

    def __init__(self) -> None:
        self._voices: dict[str, PiperOptions] = {}
        self._helpers: list[HelperProcess] = []

    @property
    def helper_pids(self) -> list[int]:
        return [helper.pid for helper in self._helpers if helper.pid is not None]

    def add(self, agent: AgentDefinition) -> None:
        options = read_options(agent, _SECTION, PiperOptions)
        require_package(agent, _SECTION, "piper", "piper")
        require_file(agent, f"{_SECTION}.options.model", options.model, "Piper voice (.onnx)")
        require_file(
            agent, f"{_SECTION}.options.model", Path(f"{options.model}.json"), "description of the voice (.onnx.json)"
        )
        self._voices[agent.id] = options

    async def start(self) -> None:
        """Loads the voices and says a word with each."""
        self._helpers = [
            HelperProcess("pipeline_worker.engines.piper_helper", name="Piper", prepare=self._load)
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
                    f"agent '{agent_id}': {_SECTION}.options.model: it cannot be loaded: {error.message}: fetch the "
                    "voice and its .onnx.json anew"
                ) from error
            if not spoken:
                raise EngineError("Piper says nothing")

    def open(self, agent_id: str) -> PiperTextToSpeech:
        return PiperTextToSpeech(self._helpers, self._voices[agent_id])

    async def close(self) -> None:
        for helper in self._helpers:
            await helper.close()

    async def _load(self, helper: HelperProcess) -> None:
        channel = helper.open_now()
        try:
            voices = sorted({str(options.model) for options in self._voices.values()})
            await channel.send({"op": "load", "voices": voices})
            await channel.receive(_LOAD_TIMEOUT_S)
        finally:
            channel.close()


def _words(sentence: str) -> list[str]:
    """The words of a text, each with the marks that stand alone before and after it."""
    words: list[str] = []
    before = ""
    for token in sentence.split():
        if re.search(r"\w", token):
            words.append(before + token)
            before = ""
        elif words:
            words[-1] += f" {token}"
        else:
            before += f"{token} "
    return words
