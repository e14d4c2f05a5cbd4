from pathlib import Path

import pytest

from pipeline_worker.engines.optional_package import require_file, require_package
from shared.agent import AgentDefinition
from shared.errors import ConfigError

AGENT = AgentDefinition(id="desk", name="Desk")


def test_a_package_that_is_there_is_not_imported() -> None:
    require_package(AGENT, "speech_to_text", "this", "zen")  # importing it would print


def test_a_package_that_is_not_there_is_told_with_its_cure() -> None:
    with pytest.raises(ConfigError) as raised:
        require_package(AGENT, "speech_to_text", "no_such_package", "faster-whisper")
    assert raised.value.message == (
        "agent 'desk': speech_to_text.engine: 'faster-whisper' is an extra that is not installed: "
        "pip install 'antiphon[faster-whisper]'"
    )


def test_a_file_that_is_not_there_is_told_with_its_field(tmp_path: Path) -> None:
    require_file(AGENT, "text_to_speech.options.model", tmp_path, "voice")
    with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.model: no voice at .*/amy\.onnx: "):
        require_file(AGENT, "text_to_speech.options.model", tmp_path / "amy.onnx", "voice")
