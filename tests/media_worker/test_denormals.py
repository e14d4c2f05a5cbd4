"""Runs in its own thread: the setting is per thread, and other tests need denormal numbers."""

import platform
from concurrent.futures import ThreadPoolExecutor

import pytest

from media_worker.denormals import flush_to_zero

_SMALLEST_NORMAL = 2.2250738585072014e-308


def halved() -> float:
    return float(_SMALLEST_NORMAL) / 2.0


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="only these processors can be told")
def test_the_thread_that_asks_takes_denormals_for_zero() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(halved).result() > 0
        assert thread.submit(flush_to_zero).result()
        assert thread.submit(halved).result() == 0
    assert halved() > 0, "and no other thread does"


def test_an_unknown_processor_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(flush_to_zero).result()
        assert thread.submit(halved).result() > 0
