"""Moonshine's own package. There is no model in it, and a made-up one cannot be had: this is as far as one gets."""

from pathlib import Path

import pytest

from pipeline_worker.engines.moonshine_stt import Provider
from shared.errors import ConfigError
from tests.extras.agents import agent_with


async def test_a_folder_that_is_no_model_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.bin").write_bytes(b"not a model")
    provider = Provider()
    provider.add(agent_with("speech_to_text", "moonshine", model=str(tmp_path), architecture="tiny"))
    try:
        with pytest.raises(ConfigError, match=r"agent 'desk': speech_to_text\.options\.model: .*MoonshineError"):
            await provider.start()
    finally:
        await provider.close()


def test_the_package_has_what_the_helper_uses() -> None:
    from moonshine_voice import ModelArch, Transcriber, get_model_for_language

    assert ModelArch["TINY_STREAMING"] in ModelArch
    assert callable(get_model_for_language)
    assert "audio_data" in Transcriber.transcribe_without_streaming.__annotations__
