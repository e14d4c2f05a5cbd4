import pytest

from pipeline_worker.settings import PipelineSettings
from shared.errors import ConfigError


def test_pools_are_a_list_in_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_PIPELINE_POOLS", " gpu, default,,gpu ")
    assert PipelineSettings.load().pools == ("gpu", "default")


def test_a_mistyped_setting_of_its_own_is_an_error_and_another_services_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_GATEWAY_SOMETHING", "1")
    PipelineSettings.load()
    monkeypatch.setenv("ANTIPHON_PIPELINE_CAPACTY", "5")
    with pytest.raises(ConfigError, match="ANTIPHON_PIPELINE_CAPACTY"):
        PipelineSettings.load()
