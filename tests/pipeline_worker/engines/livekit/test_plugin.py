from typing import Any

import pytest

from pipeline_worker.engines.livekit.plugin import LiveKitPlugins, seconds, translated_errors
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError


def agent(id_: str = "desk", **options: Any) -> AgentDefinition:
    stt = {"engine": "livekit", "options": {"plugin": "standin", **options}}
    return AgentDefinition.model_validate({"id": id_, "name": "Desk", "speech_to_text": stt})


async def test_each_agent_has_an_object_and_all_share_the_http_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "another")
    session = FakeHttpSession()
    plugins = LiveKitPlugins("speech_to_text", "STT", lambda: session)
    plugins.add(agent("one", arguments={"streaming": False}))
    plugins.add(agent("two", arguments_env={"key": "OTHER_KEY"}))
    await plugins.start()
    one, two = plugins.get("one"), plugins.get("two")
    assert (one.capabilities.streaming, two.capabilities.streaming) == (False, True)
    assert (one.key, two.key) == ("", "another")
    assert one.http_session is session is two.http_session
    assert plugins.name("one") == "standin"
    await plugins.close()
    await plugins.close()
    assert (one.closed, two.closed, session.closed) == (True, True, 1)


async def test_a_plugin_that_cannot_be_closed_does_not_prevent_closing_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = FakeHttpSession()
    plugins = LiveKitPlugins("speech_to_text", "STT", lambda: session)
    plugins.add(agent("one"))
    plugins.add(agent("two"))
    await plugins.start()

    async def fail() -> None:
        raise ConnectionError("gone")

    two = plugins.get("two")
    monkeypatch.setattr(plugins.get("one"), "aclose", fail)
    await plugins.close()
    assert (two.closed, session.closed) == (True, 1)


class FakeHttpSession:
    closed = 0

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"plugin": "deepgram"},
            r"plugin: 'deepgram' cannot be loaded: .*pip install .* 'livekit-plugins-deepgram==1\.8",
        ),
        ({"plugin": "../x"}, r"plugin: "),
        ({"class": "Stt"}, r"class: livekit\.plugins\.standin has no STT named 'Stt'"),
        ({"class": "TTS"}, r"class: livekit\.plugins\.standin has no STT named 'TTS'"),
        ({"class": "made"}, r"class: livekit\.plugins\.standin has no STT named 'made'"),
        ({"arguments": {"api_key": "s3cret"}}, r"arguments: 'api_key' looks like a secret: .*arguments_env"),
        ({"arguments_env": {"key": "NOT_SET"}}, r"arguments_env: NOT_SET is not set"),
    ],
)
def test_options_are_checked(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=rf"agent 'desk': speech_to_text\.options\.{told}") as raised:
        LiveKitPlugins("speech_to_text", "STT").add(agent(**options))
    assert "s3cret" not in str(raised.value)


async def test_an_error_of_the_constructor_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = LiveKitPlugins("speech_to_text", "STT", FakeHttpSession)
    plugins.add(agent(arguments={"colour": "red"}))
    with pytest.raises(ConfigError, match=r"options\.arguments: standin does not take them: .*'colour'"):
        await plugins.start()
    monkeypatch.delenv("STANDIN_API_KEY")
    plugins = LiveKitPlugins("speech_to_text", "STT", FakeHttpSession)
    plugins.add(agent())
    with pytest.raises(ConfigError, match=r"options\.arguments: .*STANDIN_API_KEY is required"):
        await plugins.start()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("key", "engine_key_refused"),
        ("away", "engine_unavailable"),
        ("handshake", "engine_key_refused"),
        ("late", "engine_timeout"),
        ("nonsense", "engine_broken"),
    ],
)
async def test_whatever_a_plugin_raises_is_translated(fault: str, code: str) -> None:
    from livekit.plugins.standin import misbehave  # type: ignore[import-not-found, unused-ignore]

    with pytest.raises(EngineError) as raised, translated_errors("standin"):
        await misbehave(fault)
    assert raised.value.code == code
    assert "standin" in str(raised.value)


def test_our_own_errors_stay_as_they_are() -> None:
    error = EngineError("late", code="engine_timeout")
    with pytest.raises(EngineError) as raised, translated_errors("standin"):
        raise error
    assert raised.value is error


def test_a_missing_time_is_none() -> None:
    assert seconds(0.5) == 0.5
    assert seconds(object()) is None


def test_without_the_package_the_extra_is_named() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'antiphon\[livekit\]'"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.path", [])
        patch.setattr("sys.path_importer_cache", {})
        LiveKitPlugins("speech_to_text", "STT").add(agent())
