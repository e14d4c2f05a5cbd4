import pytest
from pydantic import ValidationError

from shared.worker_report import LEASE_MS, REPORT_INTERVAL_S, WorkerReport


def test_a_report_survives_the_trip_through_a_hash_of_strings() -> None:
    report = WorkerReport(
        worker_id="m1",
        kind="media",
        state="draining",
        sessions=3,
        capacity=150,
        pool="gpu",
        zone="a",
        reported_at_ms=1_700_000_000_000,
    )
    assert WorkerReport.model_validate(report.to_hash()) == report


def test_an_older_or_newer_workers_report_can_be_read() -> None:
    report = WorkerReport.model_validate({"worker_id": "m1", "kind": "media", "field_of_tomorrow": "x"})
    assert (report.state, report.capacity) == ("serving", 0)


@pytest.mark.parametrize(
    "fields", [{}, {"worker_id": "m", "kind": "typist"}, {"worker_id": "m", "kind": "media", "sessions": "x"}]
)
def test_nonsense_is_not_a_report(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        WorkerReport.model_validate(fields)


def test_a_lease_outlives_two_missed_reports() -> None:
    assert LEASE_MS > 3 * REPORT_INTERVAL_S * 1000
