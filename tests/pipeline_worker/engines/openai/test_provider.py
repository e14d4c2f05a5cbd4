import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline_worker.engines.openai import language_model as openai_lm
from pipeline_worker.engines.openai import speech_to_text as openai_stt
from pipeline_worker.engines.openai import text_to_speech as openai_tts
from pipeline_worker.engines.openai.client import OpenAiClient
from pipeline_worker.engines.openai.provider import OpenAiOptions, OpenAiProvider
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from shared.io.agent_files import load_agents
from tests.fakes.openai_agents import openai_agent
from tests.fakes.openai_server import OpenAiServer, running_openai_server

KEY = "LOOPBACK_KEY"
ROOT = Path(__file__).parents[4]


def new_provider() -> OpenAiProvider[OpenAiOptions, OpenAiClient]:
    def engine(client: OpenAiClient, options: OpenAiOptions, agent: AgentDefinition) -> OpenAiClient:
        return client

    return OpenAiProvider("language_model", OpenAiOptions, engine)


def agent(base_url: str, id_: str = "desk", **options: Any) -> AgentDefinition:
    return openai_agent("language_model", base_url, {"id": id_}, **options)


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with running_openai_server(key="right") as server:
        yield server


async def test_all_engines_of_a_server_and_key_share_connections(
    server: OpenAiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "right\n")
    one, other = new_provider(), new_provider()
    for provider in (one, other):
        provider.add(agent(server.base_url, api_key_env=KEY))
        provider.add(agent(server.base_url + "/", "other", api_key_env=KEY))
        await provider.start()
    assert one.open("desk") is one.open("other") is other.open("desk")
    assert len(server.requests) == 1
    assert server.connections == 1
    await one.close()
    await one.close()
    await other.open("desk").http.get("/models")
    assert server.connections == 1
    with pytest.raises(EngineError, match="not open"):
        one.open("desk")
    await other.close()


async def test_openais_key_goes_to_openai_only(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "right")
    provider = new_provider()
    provider.add(agent(server.base_url))
    with pytest.raises(ConfigError, match=r"wants a key: name the environment variable that holds it in api_key_env$"):
        await provider.start()
    assert "authorization" not in server.requests[0].headers
    await provider.close()


def test_the_example_agent_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (example,) = load_agents(ROOT / "deploy" / "agents-examples").values()
    for provider in (
        openai_lm.OpenAiLanguageModelProvider(),
        openai_stt.OpenAiSpeechToTextProvider(),
        openai_tts.OpenAiTextToSpeechProvider(),
    ):
        provider.add(example)
    assert example.instructions


def test_the_examples_of_the_documentation_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("GROQ_API_KEY", "k")
    providers: dict[str, OpenAiProvider[Any, Any]] = {
        "language_model": openai_lm.OpenAiLanguageModelProvider(),
        "speech_to_text": openai_stt.OpenAiSpeechToTextProvider(),
        "text_to_speech": openai_tts.OpenAiTextToSpeechProvider(),
    }
    text = (ROOT / "docs" / "agents.md").read_text()
    section = text.partition("## Engines over the network: OpenAI")[2].partition("\n## ")[0]
    tried = 0
    for example in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL):
        agent = AgentDefinition.model_validate({"id": "desk", "name": "Desk", **yaml.safe_load(example)})
        for name in providers.keys() & agent.model_fields_set:
            providers[name].add(agent)
            tried += 1
    assert tried == 10


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": ""}, "options.model: "),
        ({"base_url": "api.groq.com"}, "options.base_url: "),
        ({"base_url": "https://me:secret@host/v1"}, "options.base_url: "),
        ({"api_key_env": "gsk-123"}, "options.api_key_env: "),
        ({"api_key": "gsk-123"}, "options.api_key: no such option"),
    ],
)
def test_options_are_checked(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        new_provider().add(agent(**{"base_url": "http://127.0.0.1:1/v1", **options}))
    assert told in raised.value.message
