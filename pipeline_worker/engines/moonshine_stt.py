"""Speech to text by Moonshine models on this machine (moonshine-voice, MIT).

The English models are MIT; those of other languages may not be used commercially (Moonshine Community License).
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipeline_worker.engines.optional_package import require_file
from pipeline_worker.engines.utterance_stt import SECTION, UtteranceOptions, UtteranceProvider
from shared.agent import AgentDefinition
from shared.errors import ConfigError


class MoonshineOptions(UtteranceOptions):
    model: str | None = Field(None, min_length=1, description="a folder with a model; else the library fetches it once")
    architecture: Literal["tiny", "base", "tiny-streaming", "base-streaming", "small-streaming", "medium-streaming"] = (
        "base"
    )

    def model_settings(self, language: str) -> dict[str, Any]:
        return {**self.model_dump(include={"model", "architecture"}), "language": language}


class Provider(UtteranceProvider[MoonshineOptions]):
    def __init__(self) -> None:
        super().__init__("moonshine", "moonshine_voice", "pipeline_worker.engines.moonshine_helper", MoonshineOptions)

    def check(self, agent: AgentDefinition, options: MoonshineOptions) -> None:
        if options.language == "auto":
            raise ConfigError(
                f"agent '{agent.id}': {SECTION}.options.language: a Moonshine model knows one language: name it"
            )
        if options.model is not None:
            require_file(agent, f"{SECTION}.options.model", Path(options.model) / "tokenizer.bin", "Moonshine model")
