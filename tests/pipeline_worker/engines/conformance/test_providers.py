"""What the provider of every engine does."""

from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.protocols import Utterance
from shared.errors import ConfigError, EngineError
from tests.pipeline_worker.engines.agents import agent_with, started
from tests.pipeline_worker.engines.conformance.engines import ALL, WITH_KEY, Engine


@pytest.mark.parametrize(("section", "engine"), ALL)
async def test_the_error_for_an_unknown_option_names_agent_and_field(section: str, engine: Engine) -> None:
    with pytest.raises(ConfigError, match=rf"agent 'desk': {section}\.options\.colour: no such option"):
        engine.provider().add(agent_with(section, engine.engine, {**engine.options, "colour": "red"}))


@pytest.mark.parametrize(("section", "engine"), [param for param in ALL if "scripted" not in str(param.id)])
async def test_a_closed_provider_serves_nothing(section: str, engine: Engine) -> None:
    async with engine.agent(section) as agent:
        provider = engine.provider()
        provider.add(agent)
        await provider.close()
        await provider.close()
        with pytest.raises(EngineError):
            await use(section, provider.open("desk"))


@pytest.mark.parametrize(("section", "engine"), WITH_KEY)
async def test_a_refused_key_stops_the_start_and_is_not_shown(
    section: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.agent(section) as agent:
        monkeypatch.setenv(engine.key, "some-wrong-key")
        told = (
            rf"agent 'desk': {section}\.options\.api_key_env: .* refuses the key .*: put a valid one into {engine.key}"
        )
        with pytest.raises(ConfigError, match=told) as raised:
            async with started(engine.provider(), agent):
                pass
        assert "some-wrong-key" not in str(raised.value)


@pytest.mark.parametrize(("section", "engine"), WITH_KEY)
@pytest.mark.parametrize(("value", "state"), [("", "is not set"), ("two\nlines", "holds no key")])
async def test_the_error_for_a_missing_key_names_its_variable(
    section: str, engine: Engine, value: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.agent(section) as agent:
        monkeypatch.setenv(engine.key, value)
        told = rf"agent 'desk': {section}\.options\.api_key_env: {engine.key} {state}: put the key into this"
        with pytest.raises(ConfigError, match=told):
            engine.provider().add(agent)


async def use(section: str, engine: Any) -> None:
    match section:
        case "speech_to_text":
            stream = engine.open()
            await stream.push(np.ones(1_600, np.int16))
            await stream.finish()
        case "language_model":
            async with aclosing(engine.reply([Utterance("user", "Hello?")])) as pieces:
                await anext(pieces)
        case "text_to_speech":
            async with aclosing(engine.speak("Hello.")) as pieces:
                await anext(pieces)
