"""A stand-in for livekit-agents and a plugin of it (tests/fakes/packages)."""

from collections.abc import Iterator

import pytest

from tests.fakes.stand_in_packages import stand_in_packages


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STANDIN_API_KEY", "a-key")
    with stand_in_packages():
        yield
