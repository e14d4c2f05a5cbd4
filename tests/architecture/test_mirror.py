"""Who looks for the tests of a module finds them in one place."""

from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT, source_modules

WIRING = {
    "media_worker/__main__.py": "tests/integration",
    "pipeline_worker/__main__.py": "tests/integration",
    "pipeline_worker/engines/protocols.py": "types only",
}
"""Modules without a test file of their own, and what holds them instead."""

NOT_A_MODULE = {"tests/deploy/test_wheel.py"}


def mirror_of(module: Path) -> Path:
    return Path("tests") / module.parent / f"test_{module.name}"


@pytest.mark.parametrize("module", source_modules(), ids=str)
def test_every_module_has_its_test_file(module: Path) -> None:
    has_one = (ROOT / mirror_of(module)).exists()
    assert has_one != (str(module) in WIRING), (
        "no test file" if not has_one else "has a test file: strike it off WIRING"
    )


def test_every_test_file_has_its_module() -> None:
    expected = set(map(mirror_of, source_modules()))
    found = {file.relative_to(ROOT) for package in PACKAGES for file in (ROOT / "tests" / package).rglob("test_*.py")}
    assert found - expected == set(map(Path, NOT_A_MODULE))


def test_tests_are_packages_all_the_way_down() -> None:
    """Else `tests/gateway` would be imported as `gateway`."""
    folders = {file.parent for file in (ROOT / "tests").rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
