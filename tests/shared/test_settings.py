import os
from typing import ClassVar

import pytest
from pydantic import Field

from shared.errors import ConfigError
from shared.settings import BUNDLED_AGENTS, PREFIX, Settings


class KitchenSettings(Settings):
    """The settings of one service."""

    own_prefixes: ClassVar[tuple[str, ...]] = ("MEDIA_",)

    media_ovens: int = Field(2, ge=1, description="how many ovens stand in the kitchen, hot or cold " * 3)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_no_setting_is_required() -> None:
    settings = KitchenSettings.load()
    assert (settings.redis_url, settings.media_ovens) == ("redis://127.0.0.1:6379/0", 2)
    assert settings.agents_dir == BUNDLED_AGENTS


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_MEDIA_OVENS", "5")
    monkeypatch.setenv("ANTIPHON_ZONE", "a")
    settings = KitchenSettings.load()
    assert (settings.media_ovens, settings.zone) == (5, "a")


@pytest.mark.parametrize("name", ["ANTIPHON_AGENT_DIR", "ANTIPHON_MEDIA_OVEN", "ANTIPHON_", "ANTIPHON_redis_urls"])
def test_a_mistyped_name_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError, match=f"unknown setting {name} "):
        KitchenSettings.load()


@pytest.mark.parametrize("name", ["ANTIPHON_GATEWAY_PORT", "ANTIPHON_PIPELINE_ANYTHING", "ANTIPHON_ENGINE_ANYTHING"])
def test_settings_of_other_services_are_ignored(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    KitchenSettings.load()


def test_every_bad_value_is_reported_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_MEDIA_OVENS", "none")
    monkeypatch.setenv("ANTIPHON_PROBE_PORT", "70000")
    with pytest.raises(ConfigError) as error:
        KitchenSettings.load()
    assert error.value.message.splitlines() == [
        "ANTIPHON_PROBE_PORT: Input should be less than or equal to 65535 (found '70000')",
        "ANTIPHON_MEDIA_OVENS: expected a number, not 'none': write it without quotes or units",
    ]


def test_help_shows_every_setting_with_its_default() -> None:
    text = KitchenSettings.help_text()
    for name in KitchenSettings.model_fields:
        assert f"ANTIPHON_{name.upper()}  [default: " in text
    assert "ANTIPHON_MEDIA_OVENS  [default: 2]" in text
    assert "ANTIPHON_AGENTS_DIR  [default: the bundled agents]" in text
    assert "ANTIPHON_ZONE  [default: none]" in text
    assert all(len(line) <= 110 for line in text.splitlines())
