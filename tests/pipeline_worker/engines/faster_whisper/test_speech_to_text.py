from pathlib import Path

import pytest

from pipeline_worker.engines.faster_whisper.speech_to_text import (
    FasterWhisperOptions,
    FasterWhisperSpeechToTextProvider,
)
from shared.agent import AgentDefinition
from shared.errors import ConfigError
from tests.fakes.stand_in_packages import stand_in_packages


def agent(**options: object) -> AgentDefinition:
    stt = {"engine": "faster-whisper", "options": options}
    return AgentDefinition.model_validate({"id": "desk", "name": "Desk", "speech_to_text": stt})


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with (
        stand_in_packages(),
        pytest.raises(
            ConfigError, match=r"agent 'desk': speech_to_text\.options\.model: no CTranslate2 model at .*bin"
        ),
    ):
        FasterWhisperSpeechToTextProvider().add(agent(model=str(tmp_path)))


@pytest.mark.parametrize("name", ["base", "tiny.en", "someone/distil-model"])
def test_a_name_is_left_to_the_library(name: str) -> None:
    with stand_in_packages():
        FasterWhisperSpeechToTextProvider().add(agent(model=name))


def test_any_language_means_detection() -> None:
    options = FasterWhisperOptions()
    assert options.model_settings("de")["language"] == "de"
    assert options.model_settings("auto")["language"] is None
    assert set(options.model_settings("de")) == {"model", "device", "compute_type", "threads", "beam_size", "language"}
