"""Who looks for the tests of a module finds them in one place."""

from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT, source_modules

WIRING = {
    "deploy/evaluation/caller.py": "tests/scenarios",
    "gateway/core/signaling_events.py": "types only",
    "media_worker/__main__.py": "tests/integration",
    "pipeline_worker/engines/protocols.py": "types only",
    "pipeline_worker/tools/outcome.py": "types only",
}
"""Modules without a test file of their own, and what holds them instead."""

NOT_A_MODULE = {"tests/deploy/test_wheel.py", "tests/pipeline_worker/engines/test_network_engines.py"}


def mirrors_of(module: Path) -> set[Path]:
    """Where its test file may be; the underscores of `__main__` are not needed."""
    return {Path("tests") / module.parent / f"test_{name}.py" for name in (module.stem, module.stem.strip("_"))}


@pytest.mark.parametrize("module", source_modules(), ids=str)
def test_every_module_has_its_test_file(module: Path) -> None:
    has_one = any((ROOT / mirror).exists() for mirror in mirrors_of(module))
    assert has_one != (str(module) in WIRING), "strike it off WIRING" if has_one else "no test file"


def test_every_test_file_has_its_module() -> None:
    expected = set[Path]().union(*map(mirrors_of, source_modules()))
    found = {file.relative_to(ROOT) for package in PACKAGES for file in (ROOT / "tests" / package).rglob("test_*.py")}
    assert found - expected == set(map(Path, NOT_A_MODULE))


def test_tests_are_packages_all_the_way_down() -> None:
    """Else `tests/gateway` would be imported as `gateway`."""
    folders = {file.parent for file in (ROOT / "tests").rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
