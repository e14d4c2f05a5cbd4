from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callers.load.gate import AT_LEAST, AT_MOST, EXIT_NOT_MET, compare, exit_code, read_gate
from callers.load.results import Knee, LoadReport, Stage
from shared.errors import ConfigError
from tests.callers.load.stages import server, stage


def _report(*stages: Stage, knee: int | None = None) -> LoadReport:
    found = knee and Knee(
        callers=knee, bad_callers=knee + 1, signal="loss", value=2.0, bound=1.0, resource="unknown", reason="Lossy."
    )
    return LoadReport(
        target_url="http://voice.example",
        agent="echo",
        scenario="ramp",
        began="2026-01-01T00:00:00Z",
        duration_s=60.0,
        stages=list(stages),
        knee=found or None,
    )


_REPORT = _report(
    stage(10, set_up_ms=90.0, server=server(gateway=0.2)),
    stage(20, set_up_ms=140.0, loss_percent=0.4, server=server(gateway=0.4)),
    stage(30, set_up_ms=2000.0, loss_percent=6.0),
    knee=20,
)


def test_the_worst_level_up_to_the_knee_decides() -> None:
    results = compare(
        _REPORT, read_gate({"setup_p95_ms": 150, "loss_percent": 0.3, "knee_callers_min": 20}, "gate.yaml")
    )
    assert [(result.name, result.holds) for result in results] == [
        ("setup_p95_ms", True),
        ("loss_percent", False),
        ("knee_callers_min", True),
    ]
    assert results[0].value == pytest.approx(140.0, rel=0.01)
    assert results[0].reason == "worst at 20 callers"
    assert exit_code(results) == EXIT_NOT_MET
    assert exit_code(results[:1]) == 0


def test_a_level_can_have_bounds_of_its_own() -> None:
    results = compare(_REPORT, read_gate({"at": {"30": {"setup_p95_ms": 150}, 40: {"errors": 0}}}, "gate.yaml"))
    assert [(result.name, result.holds, result.reason) for result in results] == [
        ("setup_p95_ms at 30 callers", False, "worst at 30 callers"),
        ("errors at 40 callers", False, "no such level was measured"),
    ]


def test_a_figure_that_was_not_measured_does_not_pass() -> None:
    results = compare(_REPORT, read_gate({"mos_min": 4.0, "barge_in_stop_p95_ms": 500}, "gate.yaml"))
    assert [(result.value, result.holds, result.reason) for result in results] == [
        (None, False, "not measured at 10 callers")
    ] * 2


def test_a_run_without_a_knee_carries_at_least_its_highest_level() -> None:
    results = compare(_report(stage(10), stage(20)), read_gate({"knee_callers_min": 20}, "gate.yaml"))
    assert (results[0].value, results[0].holds) == (20, True)
    assert compare(_report(), read_gate({"knee_callers_min": 1}, "gate.yaml"))[0].value is None


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"set_up_p95_ms": 5}, "gate.yaml: there is no figure 'set_up_p95_ms': did you mean setup_p95_ms?"),
        ({"at": {10: {"los_percent": 5}}}, "did you mean loss_percent?"),
        ({"magic": 5}, "use one of setup_p50_ms, "),
        ({"setup_p95_ms": "500 ms"}, "gate.yaml: setup_p95_ms: "),
        ({"setup_p95_ms": None}, "gate.yaml: setup_p95_ms: "),
        ({"setup_p95_ms": -1}, "greater than or equal to 0"),
        ({"knee_callers_min": 2.5}, "knee_callers_min: "),
        ({"at": {"many": {"errors": 0}}}, "at.many"),
        ({"at": [1]}, "gate.yaml"),
        ({}, "gate.yaml: has no bound: write at least one"),
        (["setup_p95_ms"], "write lines such as `setup_p95_ms: 500`"),
        (None, "write lines such as"),
    ],
)
def test_a_gate_that_nobody_can_pass_or_fail_is_refused_with_advice(written: Any, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_gate(written, "gate.yaml")
    assert complaint in caught.value.message


@given(st.sampled_from([*AT_MOST, *AT_LEAST]), st.floats(0, 1e6))
def test_every_figure_can_be_bounded(name: str, bound: float) -> None:
    [result] = compare(_REPORT, read_gate({name: bound}, "gate.yaml"))
    assert result.holds == (
        result.value is not None and (result.value >= bound if name in AT_LEAST else result.value <= bound)
    )
