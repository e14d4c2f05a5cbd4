"""Denormal numbers stay on in the tests' thread: hypothesis and numpy rely on them."""

import pytest

from media_worker import denormals


@pytest.fixture(autouse=True)
def processor_left_alone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "test_denormals" not in request.node.nodeid:
        monkeypatch.setattr(denormals, "flush_to_zero", lambda: False)
