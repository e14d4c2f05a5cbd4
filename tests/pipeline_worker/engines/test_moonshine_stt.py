"""The worker's side, with a stand-in for moonshine-voice in a real helper process (tests/fakes/packages)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline_worker.engines.moonshine_stt import Provider
from shared.agent import AgentDefinition
from shared.errors import ConfigError
from tests.fakes.stand_in_packages import stand_in_packages


@pytest.fixture(autouse=True)
def packages() -> Iterator[None]:
    with stand_in_packages():
        yield


def agent(**options: object) -> AgentDefinition:
    stt = {"engine": "moonshine", "options": options}
    return AgentDefinition.model_validate({"id": "desk", "name": "Desk", "speech_to_text": stt})


async def test_an_utterance_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.bin").write_bytes(b"a model")
    provider = Provider()
    provider.add(agent(model=str(tmp_path), architecture="tiny"))
    try:
        await provider.start()
        stream = provider.open("desk").open()
        await stream.push(np.ones(24_000, dtype=np.int16))
        assert (await stream.finish()).text == f"1.5 seconds by {tmp_path.name} TINY"
    finally:
        await provider.close()


async def test_a_model_that_cannot_be_fetched_is_told_at_the_start() -> None:
    provider = Provider()
    provider.add(agent(language="xx"))
    try:
        with pytest.raises(ConfigError, match=r"agent 'desk': speech_to_text\.options\.model: .*no model of this"):
            await provider.start()
    finally:
        await provider.close()


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"speech_to_text\.options\.model: no Moonshine model at .*tokenizer\.bin"):
        Provider().add(agent(model=str(tmp_path)))


def test_a_model_knows_one_language() -> None:
    with pytest.raises(ConfigError, match=r"speech_to_text\.options\.language"):
        Provider().add(agent(language="auto"))
