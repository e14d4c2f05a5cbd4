import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog.testing
import yaml

from pipeline_worker.engines.cartesia.text_to_speech import CartesiaTextToSpeechProvider
from pipeline_worker.engines.deepgram.speech_to_text import DeepgramSpeechToTextProvider
from pipeline_worker.engines.deepgram.text_to_speech import DeepgramTextToSpeechProvider
from pipeline_worker.engines.elevenlabs.text_to_speech import ElevenLabsTextToSpeechProvider
from pipeline_worker.engines.network.account import (
    BaseUrl,
    EnvironmentName,
    VendorAccount,
    VendorOptions,
    concurrently,
    read_account,
    try_account,
)
from pipeline_worker.engines.protocols import Provider
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from tests.fakes.virtual_time import in_virtual_time

AGENT = AgentDefinition(id="desk", name="Desk")
PROVIDERS: dict[tuple[str, str], Callable[[], Provider[object]]] = {
    ("cartesia", "text_to_speech"): CartesiaTextToSpeechProvider,
    ("deepgram", "speech_to_text"): DeepgramSpeechToTextProvider,
    ("deepgram", "text_to_speech"): DeepgramTextToSpeechProvider,
    ("elevenlabs", "text_to_speech"): ElevenLabsTextToSpeechProvider,
}


class AcmeOptions(VendorOptions):
    api_key_env: EnvironmentName = "ACME_KEY"
    base_url: BaseUrl = "https://acme.example/"


def test_the_key_comes_from_the_environment_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", " secret\n")
    account = read_account(AGENT, "text_to_speech", "Acme", AcmeOptions())
    assert account == VendorAccount("Acme", "https://acme.example", "secret")
    assert "secret" not in repr(account)


@pytest.mark.parametrize("value", ["two\nlines", "schlüssel"])
def test_an_impossible_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ACME_KEY", value)
    with pytest.raises(ConfigError, match="ACME_KEY holds no key") as raised:
        read_account(AGENT, "text_to_speech", "Acme", AcmeOptions())
    assert value not in str(raised.value)


@pytest.mark.parametrize("value", [None, "  "])
def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("OTHER_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("OTHER_KEY", value)
    with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech.options.api_key_env: OTHER_KEY is not set"):
        read_account(AGENT, "text_to_speech", "Acme", AcmeOptions(api_key_env="OTHER_KEY"))


@pytest.mark.parametrize(
    ("base_url", "expected"), [("https://a.example", "wss://a.example/v1?"), ("http://b:80/x", "ws://b:80/x/v1?")]
)
def test_the_websocket_has_the_address_of_the_api(base_url: str, expected: str) -> None:
    url = VendorAccount("Acme", base_url, "").websocket_url("/v1", {"term": ["a b", "c"], "none": []})
    assert url == f"{expected}term=a+b&term=c"


async def fails(code: str) -> None:
    raise EngineError("Acme says no", code=code)


async def test_a_refused_key_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"options.api_key_env: Acme says no: put a valid one into ACME_KEY"):
        await try_account("desk", "text_to_speech", AcmeOptions(), fails("engine_key_refused"), decisive=False)


@pytest.mark.parametrize(
    ("code", "decisive", "is_error"),
    [("engine_refused", True, True), ("engine_refused", False, False), ("engine_unavailable", True, False)],
)
async def test_other_failures_are_errors_only_if_calls_would_fail(code: str, decisive: bool, is_error: bool) -> None:
    attempt = try_account("desk", "text_to_speech", AcmeOptions(), fails(code), decisive=decisive)
    if is_error:
        with pytest.raises(ConfigError, match=r"text_to_speech.options: Acme says no: correct the options"):
            await attempt
        return
    with structlog.testing.capture_logs() as logs:
        await attempt
    assert [line["event"] for line in logs] == ["engine_not_tried"]


@in_virtual_time
async def test_a_silent_vendor_does_not_keep_the_others_from_starting() -> None:
    with structlog.testing.capture_logs() as logs:
        await concurrently(
            try_account(agent_id, "text_to_speech", AcmeOptions(), asyncio.sleep(3600), decisive=True)
            for agent_id in ("desk", "night")
        )
    assert [(line["event"], line["agent_id"], line["code"]) for line in logs] == [
        ("engine_not_tried", "desk", "engine_timeout"),
        ("engine_not_tried", "night", "engine_timeout"),
    ]
    assert asyncio.get_running_loop().time() < 10


async def test_the_first_error_of_concurrent_checks_is_raised_when_all_are_done() -> None:
    with pytest.raises(EngineError) as raised:
        await concurrently(fails(code) for code in ("first", "second"))
    assert raised.value.code == "first"


def test_the_examples_in_the_documents_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DEEPGRAM_API_KEY", "CARTESIA_API_KEY", "ELEVENLABS_EU_KEY"):
        monkeypatch.setenv(variable, "some key")
    text = (Path(__file__).parents[4] / "docs" / "agents.md").read_text()
    chapter = text[text.index("## Deepgram, ElevenLabs, Cartesia") :].partition("\n## ")[0]
    examples = [yaml.safe_load(example) for example in re.findall(r"```yaml\n(.*?)```", chapter, re.DOTALL)]
    assert len(examples) == 2
    for example in examples:
        agent = AgentDefinition.model_validate({"id": "desk", "name": "Desk", **example})
        for section in ("speech_to_text", "text_to_speech"):
            choice = getattr(agent, section) if section in example else None
            while choice is not None:
                PROVIDERS[choice.engine, section]().add(agent.model_copy(update={section: choice}))
                choice = choice.fallback
