import os
from pathlib import Path

import pytest

from shared.io.processor import core_speed, usable_cores


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "25000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.25),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, limits: dict[str, str], cores: float) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in limits.items():
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"cpu.max": "max 100000\n"},
        {"cpu.max": "9900000 100000\n"},
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
    ],
)
def test_without_a_lower_limit_the_affinity_counts(tmp_path: Path, limits: dict[str, str]) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in limits.items():
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_a_core_has_a_speed() -> None:
    assert 0.01 < core_speed() < 100
