import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from tests.load import plan
from tests.load.bench_report import BenchReport

FIGURES: dict[str, list[dict[str, Any]]] = {
    "density": [
        {"talk": "everyone talks", "ms_per_session_s": 3.5},
        {"talk": "agent talks 40 %, wideband callers", "ms_per_session_s": 2.9},
    ],
    "pipeline": [{"microphone": "open microphone (no DTX)", "ms_per_session_s": 5.0, "mb_per_session": 0.5}],
    "gateways": [
        {"what": "set-up", "gateway_ms_each": 1.7},
        {"what": "held", "kb_each": 45.0},
        {"what": "event to a client", "gateway_ms_each": 0.2},
    ],
    "broker": [
        {"broker": "one server", "broker_ms_per_session_s": 9.0, "frames_per_entry": 20.0, "kept_up": "no"},
        {"broker": "one server", "broker_ms_per_session_s": 0.1, "frames_per_entry": 20.0, "kept_up": "yes"},
        {
            "broker": "one server, every pair of workers",
            "broker_ms_per_session_s": 0.4,
            "frames_per_entry": 3.2,
            "kept_up": "yes",
        },
        {"broker": "cluster of 3 nodes", "broker_ms_per_session_s": 0.5, "kept_up": "yes"},
    ],
    "memory": [{"when": "empty", "rss_mb": 100.0}, {"when": "200 sessions", "rss_mb": 140.0}],
    "system": [{"work": "front desk: voice activity", "ms_per_session_s": 6.5}],
}


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    plan.add_options(parser)
    return parser.parse_args(arguments)


def write_to(folder: Path, **others: list[dict[str, Any]]) -> None:
    for name, rows in {**FIGURES, **others}.items():
        content = {"name": name, "machine": "a fast one", "figures": rows}
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_the_unit_costs_are_those_of_the_benchmarks_last_rows() -> None:
    costs = plan.unit_costs(FIGURES)
    assert (costs.media_ms, costs.pipeline_ms) == (2.9, 5.0)
    assert (costs.broker_few_ms, costs.few_frames) == (0.1, 20.0)
    assert (costs.broker_all_ms, costs.all_frames) == (0.4, 3.2)
    assert costs.media_mb == pytest.approx(0.2)


def test_the_table_is_made_of_what_benchmarks_have_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_to(tmp_path)
    report = BenchReport("plan")
    plan.run(report, options("--from", str(tmp_path)))
    assert report.holds
    printed = capsys.readouterr().out
    assert "Unit costs, measured on a fast one:" in printed
    assert "| cells | 20 | 100,000 / 5,000 |" in printed
    assert "The whole stack on one core: 6.50 ms; its workers on cores of their own: 7.90 ms." in printed


def test_every_assumption_has_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_to(tmp_path)
    plan.run(BenchReport("plan"), options("--from", str(tmp_path), "--sessions", "2000", "--cell-sessions", "1000"))
    assert "| cells | 2 | 2,000 / 1,000 |" in capsys.readouterr().out


def test_figures_of_a_broker_that_did_not_keep_up_would_flatter(tmp_path: Path) -> None:
    late = {**FIGURES["broker"][1], "kept_up": "no"}
    write_to(tmp_path, broker=[late, *FIGURES["broker"][2:]])
    report = BenchReport("plan")
    plan.run(report, options("--from", str(tmp_path)))
    assert not report.holds


def test_a_benchmark_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="broker"):
        plan.run(BenchReport("plan"), options("--from", str(tmp_path)))
