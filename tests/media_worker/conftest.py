"""What a worker does to its process is not done to the tests' one: hypothesis and numpy need denormal numbers."""

import pytest

from media_worker import denormals, worker


@pytest.fixture(autouse=True)
def processor_left_alone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "test_denormals" not in request.node.nodeid:
        monkeypatch.setattr(denormals, "flush_to_zero", lambda: False)
    monkeypatch.setattr(worker, "settle_memory", lambda: None)
