"""Speech to text by Whisper models on this machine (faster-whisper and the models of OpenAI are MIT)."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipeline_worker.engines.options import require_file, require_package
from pipeline_worker.engines.utterance.speech_to_text import SECTION, UtteranceOptions, UtteranceProvider
from shared.agent import AgentDefinition

_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class FasterWhisperOptions(UtteranceOptions):
    model: str = Field("base", min_length=1, description="a folder with a CTranslate2 model, or a name such as tiny.en")
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    compute_type: str = Field("int8", pattern=r"^[a-z0-9_]{3,20}$", description="int8, float32; on a GPU float16")
    threads: int = Field(2, ge=1, le=64, description="of each process")
    beam_size: int = Field(1, ge=1, le=10)

    def model_settings(self, language: str) -> dict[str, Any]:
        return {
            **self.model_dump(include={"model", "device", "compute_type", "threads", "beam_size"}),
            "language": None if language == "auto" else language,
        }


class FasterWhisperSpeechToTextProvider(UtteranceProvider[FasterWhisperOptions]):
    def __init__(self) -> None:
        super().__init__(
            "faster-whisper",
            "pipeline_worker.engines.faster_whisper.helper",
            FasterWhisperOptions,
            cure="name the folder of a complete model, or give this machine network access for the download",
        )

    def check(self, agent: AgentDefinition, options: FasterWhisperOptions) -> None:
        require_package(agent, SECTION, "faster_whisper", "faster-whisper")
        if not _NAME.fullmatch(options.model):  # otherwise a name, which the library resolves
            require_file(agent, f"{SECTION}.options.model", Path(options.model) / "model.bin", "CTranslate2 model")
