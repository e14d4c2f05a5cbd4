"""Speech to text by Moonshine models on this machine, by default the included English one (MIT).

Only the model files of the package moonshine-voice are used, because its library brings a second runtime. So its
streaming models and the models that it downloads are not offered. Newer releases contain no model.
"""

from typing import Any

from pydantic import Field

from pipeline_worker.engines.moonshine.files import FILES, PACKAGED, folder_of
from pipeline_worker.engines.options import require_file
from pipeline_worker.engines.utterance.speech_to_text import SECTION, UtteranceOptions, UtteranceProvider
from pipeline_worker.text.words import primary_language
from shared.agent import AgentDefinition
from shared.errors import ConfigError


class MoonshineOptions(UtteranceOptions):
    model: str = Field(PACKAGED, min_length=1, description=f"{PACKAGED}, or a folder with {', '.join(FILES)}")
    interim_ms: int = Field(400, ge=0, le=10_000, description="least new speech between interim texts; 0: none")

    def model_settings(self, language: str) -> dict[str, Any]:
        return {"model": str(folder_of(self.model)), "packaged": self.model == PACKAGED, "language": language}


class MoonshineSpeechToTextProvider(UtteranceProvider[MoonshineOptions]):
    def __init__(self) -> None:
        super().__init__(
            "moonshine",
            "pipeline_worker.engines.moonshine.helper",
            MoonshineOptions,
            cure="name a folder with all of it",
        )

    def check(self, agent: AgentDefinition, options: MoonshineOptions) -> None:
        language = primary_language(options.language or agent.language)
        if options.model == PACKAGED and language != "en":
            raise ConfigError(
                f"agent '{agent.id}': {SECTION}.options.model: '{PACKAGED}' understands English, but the language is "
                f"'{language}': name a folder with a model for that language, or choose another engine"
            )
        folder = folder_of(options.model)
        if folder is None:
            raise ConfigError(
                f"agent '{agent.id}': {SECTION}.options.model: the package that '{PACKAGED}' comes with is missing: "
                "pip install moonshine-voice==0.1.0"
            )
        for name in FILES:
            require_file(agent, f"{SECTION}.options.model", folder / name, "Moonshine model")
