"""Stands for moonshine-voice 0.1.5: hears how long the sound was, in two lines."""

from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class MoonshineError(Exception):
    pass


class ModelArch(IntEnum):
    TINY = 0
    BASE = 1
    TINY_STREAMING = 2


def get_model_for_language(language: str, architecture: ModelArch) -> tuple[str, ModelArch]:
    if language == "xx":
        raise ValueError("no model of this language")
    return f"/fetched/{language}", ModelArch.TINY


class Transcriber:
    def __init__(self, model_path: str, model_arch: ModelArch, options: dict[str, str]) -> None:
        if not model_path.startswith("/fetched/") and (Path(model_path) / "tokenizer.bin").read_bytes() != b"a model":
            raise MoonshineError("Failed to load transcriber")
        self._model = f"{Path(model_path).name} {model_arch.name}"

    def transcribe_without_streaming(self, audio_data: list[float], sample_rate: int) -> Any:
        texts = [f"{len(audio_data) / sample_rate:.1f} seconds ", "", f" by {self._model}"]
        return SimpleNamespace(lines=[SimpleNamespace(text=text) for text in texts])
