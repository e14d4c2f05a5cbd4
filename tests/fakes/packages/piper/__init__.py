"""Stands for piper-tts 1.8: a phoneme for each letter, each phoneme a hundred samples long."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_SAMPLES_PER_PHONEME = 100


@dataclass
class SynthesisConfig:
    speaker_id: int | None = None
    length_scale: float | None = None
    volume: float = 1.0


@dataclass
class PhonemeAlignment:
    phoneme: str
    num_samples: int


@dataclass
class AudioChunk:
    sample_rate: int
    audio_int16_array: Any
    phoneme_alignments: list[PhonemeAlignment] | None


@dataclass
class PiperConfig:
    sample_rate: int
    length_scale: float


class PiperVoice:
    def __init__(self, config: PiperConfig) -> None:
        self.config = config

    @staticmethod
    def load(path: str, include_alignments: bool = False) -> "PiperVoice":
        if Path(path).read_bytes() != b"a voice":
            raise ValueError("no model")
        settings = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
        return PiperVoice(PiperConfig(settings["audio"]["sample_rate"], 1.0))

    def synthesize(
        self, text: str, settings: SynthesisConfig, include_alignments: bool = False
    ) -> Iterator[AudioChunk]:
        """Digits are said as two words, as many a number is."""
        if "%" in text:
            raise RuntimeError("an unheard-of sign")
        spoken = re.sub(r"\d+", "twenty two", text)
        length = round(_SAMPLES_PER_PHONEME * (settings.length_scale or 1.0))
        alignments = [PhonemeAlignment(phoneme, length) for phoneme in ["^", *spoken, "$"]]
        level = 1_250 * (1 + (settings.speaker_id or 0)) * settings.volume
        samples = np.full(length * len(alignments), level, dtype=np.int16)
        yield AudioChunk(self.config.sample_rate, samples, alignments if include_alignments else None)
