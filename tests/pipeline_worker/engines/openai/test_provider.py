import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from structlog.testing import capture_logs

from pipeline_worker.engines.catalog import Catalog
from pipeline_worker.engines.openai import client as openai_client
from pipeline_worker.engines.openai import language_model as openai_lm
from pipeline_worker.engines.openai import speech_to_text as openai_stt
from pipeline_worker.engines.openai import text_to_speech as openai_tts
from pipeline_worker.engines.openai.client import OpenAiClient
from pipeline_worker.engines.openai.provider import OPENAI_URL, OpenAiOptions, OpenAiProvider
from pipeline_worker.engines.protocols import Utterance
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from shared.io.agent_files import load_agents
from tests.fakes.openai_agents import openai_agent
from tests.fakes.openai_server import Fault, OpenAiServer, running_openai_server
from tests.fakes.ports import free_port

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
    assert not other.open("desk").sdk.is_closed()
    with pytest.raises(EngineError, match="not open"):
        one.open("desk")
    await other.close()


@pytest.mark.parametrize(("value", "told"), [(None, "is not set"), (" ", "is not set"), ("two\nlines", "holds no key")])
def test_a_key_that_is_missing_is_told_with_agent_field_and_cure(
    monkeypatch: pytest.MonkeyPatch, value: str | None, told: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ConfigError) as raised:
        new_provider().add(agent(OPENAI_URL))
    assert raised.value.message == (
        f"agent 'desk': language_model.options.api_key_env: OPENAI_API_KEY {told}: put the key into this environment "
        "variable, or name the one that has it"
    )


async def test_openais_key_goes_to_openai_only(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "right")
    provider = new_provider()
    provider.add(agent(server.base_url))
    with pytest.raises(ConfigError, match=r"wants a key: name the environment variable that holds it in api_key_env$"):
        await provider.start()
    assert "authorization" not in server.requests[0].headers
    await provider.close()


async def test_a_server_that_cannot_be_reached_is_a_warning() -> None:
    provider = new_provider()
    provider.add(agent(f"http://127.0.0.1:{free_port()}/v1"))
    with capture_logs() as logs:
        await provider.start()
    assert [(line["event"], line["code"]) for line in logs] == [("engine_not_tried", "engine_unavailable")]
    assert provider.open("desk")
    await provider.close()


async def test_silent_servers_do_not_keep_each_other_waiting_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client, "_WARM_UP_TIMEOUT_S", 0.5)
    async with running_openai_server() as one, running_openai_server() as other:
        provider = new_provider()
        for id_, server in (("one", one), ("other", other)):
            server.models_fault = Fault("stall")
            provider.add(agent(server.base_url, id_))
        starting = asyncio.create_task(provider.start())
        await one.until(lambda: one.active == 1)
        await other.until(lambda: one.active == other.active == 1)
        await starting
        await provider.close()


FAULTS = [
    Fault("status", status=500),
    Fault("status", status=429),
    Fault("stall"),
    Fault("stall", after=0),
    Fault("close", after=0),
    Fault("end", after=0),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.after}")
async def test_as_the_catalog_hands_them_out_another_server_answers_in_time(fault: Fault) -> None:
    async with (
        running_openai_server(reply="First.", transcripts=["first"]) as first,
        running_openai_server(reply="Second.", transcripts=["second"]) as second,
    ):
        sections: dict[str, dict[str, Any]] = {
            "language_model": {},
            "speech_to_text": {"stream": True},
            "text_to_speech": {"voice": "v"},
        }

        def choice(server: OpenAiServer, options: dict[str, Any]) -> dict[str, Any]:
            return {"engine": "openai", "options": {"model": "m", "base_url": server.base_url, **options}}

        engines = {
            section: {**choice(first, options), "first_output_s": 0.5, "fallback": choice(second, options)}
            for section, options in sections.items()
        }
        catalog = Catalog({"desk": AgentDefinition.model_validate({"id": "desk", "name": "Desk", **engines})})
        await catalog.start()
        try:
            _, stt, lm, tts = catalog.open("desk")
            first.faults += [fault] * 3
            async with asyncio.timeout(10):
                stream = stt.open()
                await stream.push(np.ones(16_000, dtype=np.int16))
                assert (await stream.finish()).text == "second"
                assert [piece.text async for piece in lm.reply([Utterance("user", "Hello?")])] == ["Second."]
                assert sum([len(piece.samples) async for piece in tts.speak("Hello.")])
            assert [request.path for request in second.requests] == [
                "/v1/models",
                "/v1/audio/transcriptions",
                "/v1/chat/completions",
                "/v1/audio/speech",
            ]
            await first.until(lambda: first.active == 0)
        finally:
            await catalog.close()


def test_the_example_agent_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (example,) = load_agents(ROOT / "deploy" / "agents-examples").values()
    for provider in (openai_lm.Provider(), openai_stt.Provider(), openai_tts.Provider()):
        provider.add(example)
    assert example.instructions


def test_the_examples_of_the_documentation_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("GROQ_API_KEY", "k")
    providers: dict[str, OpenAiProvider[Any, Any]] = {
        "language_model": openai_lm.Provider(),
        "speech_to_text": openai_stt.Provider(),
        "text_to_speech": openai_tts.Provider(),
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
