import pytest
from pydantic import ValidationError

from callers.load.results import CallerLoad, LoadReport, RoleLoad, ServerLoad, Spread, Stage
from callers.load.sketch import Sketch

_REPORT = LoadReport(
    target_url="https://voice.example",
    agent="echo",
    scenario="ramp",
    parameters={"levels": "10,20"},
    began="2026-01-01T00:00:00Z",
    duration_s=60.0,
    stages=[
        Stage(
            began_s=0.0,
            duration_s=30.0,
            callers_wanted=10,
            callers_connected=9,
            attempts=10,
            errors={"no_capacity": 1},
            callers=CallerLoad(processes=2, cores=0.4, busiest_core_share=0.3),
            server=ServerLoad(roles={"gateway": RoleLoad(processes=1, cores=0.1, busiest_core_share=0.1)}),
        )
    ],
)


def test_a_report_survives_the_way_through_a_file() -> None:
    assert LoadReport.from_json(_REPORT.to_json()) == _REPORT
    assert _REPORT.stages[0].error_percent == pytest.approx(10.0)


def test_what_was_not_measured_is_not_in_the_file() -> None:
    assert "null" not in _REPORT.to_json()
    assert Spread.of(None) is None
    assert Spread.of(Sketch()) is None


def test_a_report_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ValidationError, match="version"):
        LoadReport.from_json(_REPORT.to_json().replace('"version": 1', '"version": 2'))
