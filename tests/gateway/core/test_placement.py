from hypothesis import given
from hypothesis import strategies as st

from gateway.core.placement import Candidate, RecentPlacements, rank
from shared.worker_report import LEASE_MS, WorkerReport

NOW_MS = 1_000_000


def report(worker_id: str, sessions: int = 0, capacity: int = 10, zone: str = "", age_ms: int = 500) -> WorkerReport:
    return WorkerReport(
        worker_id=worker_id,
        kind="media",
        sessions=sessions,
        capacity=capacity,
        zone=zone,
        reported_at_ms=NOW_MS - age_ms,
    )


def ranked(
    reports: list[WorkerReport],
    recent: RecentPlacements | None = None,
    zone: str = "",
    avoid: frozenset[str] = frozenset(),
    session: str = "s",
) -> list[str]:
    result = rank(reports, recent or RecentPlacements(), session, zone, avoid)
    return [candidate.worker_id for candidate in result]


def test_the_least_loaded_comes_first() -> None:
    assert ranked([report("a", 5), report("b", 1), report("c", 3)]) == ["b", "c", "a"]


def test_load_is_a_share_of_the_capacity() -> None:
    assert ranked([report("small", 2, capacity=4), report("large", 10, capacity=100)]) == ["large", "small"]


def test_placements_since_the_report_count() -> None:
    recent = RecentPlacements()
    for _ in range(3):
        recent.add("a", NOW_MS - 100)
    recent.add("b", NOW_MS - 900)  # before b's report, which already counts it
    assert ranked([report("a", 1), report("b", 2)], recent) == ["b", "a"]


def test_placements_are_forgotten_after_a_lease() -> None:
    recent = RecentPlacements()
    recent.add("a", NOW_MS)
    recent.add("b", NOW_MS + LEASE_MS + 1)
    assert recent.since(report("a", age_ms=0).model_copy(update={"reported_at_ms": 0})) == 0


def test_our_own_zone_comes_before_a_lower_load() -> None:
    near, far = report("near", 9, zone="north"), report("far", 0, zone="south")
    assert ranked([far, near], zone="north") == ["near", "far"]
    assert ranked([far, near], zone="") == ["far", "near"]


def test_the_reason_is_given() -> None:
    result = rank([report("a", 3, zone="south")], RecentPlacements(), "s", "north")
    assert result == [Candidate("a", 0.3, "other zone, 3 of 10 sessions")]


def test_ties_are_spread_by_session() -> None:
    reports = [report(worker_id) for worker_id in "abcd"]
    first = [ranked(reports, session=f"session-{number}")[0] for number in range(200)]
    assert all(first.count(worker_id) > 25 for worker_id in "abcd")


reports_of_any_kind = st.lists(
    st.builds(
        report,
        worker_id=st.text("abcdef", min_size=1, max_size=3),
        sessions=st.integers(0, 12),
        capacity=st.integers(0, 10),
        zone=st.sampled_from(["", "north", "south"]),
        age_ms=st.integers(-1000, 8000),
    ),
    unique_by=lambda each: each.worker_id,
    max_size=8,
)


@given(reports_of_any_kind, st.sampled_from(["", "north"]), st.sets(st.text("abcdef", min_size=1, max_size=3)))
def test_every_worker_but_the_avoided_is_ranked_once(reports: list[WorkerReport], zone: str, avoid: set[str]) -> None:
    result = rank(reports, RecentPlacements(), "s", zone, avoid)
    by_id = {each.worker_id: each for each in reports}
    assert sorted(candidate.worker_id for candidate in result) == sorted(by_id.keys() - avoid)
    order = [(bool(zone) and by_id[candidate.worker_id].zone != zone, candidate.load) for candidate in result]
    assert order == sorted(order)
