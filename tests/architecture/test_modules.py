"""A module is one noun of the subject."""

from pathlib import Path

import pytest

from shared.settings import Settings
from tests.architecture.source_tree import ROOT, source_modules

MOST_LINES = 400
NAMES_OF_NOTHING = {"utils", "util", "helpers", "common", "misc", "manager", "base"}


@pytest.mark.parametrize("module", source_modules(), ids=str)
def test_it_is_short_and_has_a_name_that_says_something(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= MOST_LINES
    assert module.stem not in NAMES_OF_NOTHING


@pytest.mark.parametrize("module", source_modules(), ids=str)
def test_it_begins_with_what_it_is(module: Path) -> None:
    text = (ROOT / module).read_text()
    assert text.startswith('"""') or module.stem == "settings"


def test_every_setting_of_every_service_says_what_it_is_for_and_has_a_default() -> None:
    from gateway.settings import GatewaySettings
    from media_worker.settings import MediaSettings
    from pipeline_worker.settings import PipelineSettings

    services: list[type[Settings]] = [GatewaySettings, MediaSettings, PipelineSettings]
    for service in services:
        for name, field in service.model_fields.items():
            assert field.description, f"{service.__name__}.{name}"
            assert not field.is_required(), f"{service.__name__}.{name}"


def test_tests_are_packages_all_the_way_down() -> None:
    """Otherwise `tests/gateway` would be imported as `gateway`."""
    folders = {file.parent for file in (ROOT / "tests").rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
