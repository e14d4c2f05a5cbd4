from hypothesis import given
from hypothesis import strategies as st

from gateway.core.placement import CLOCK_TOLERANCE_MS, Candidate, RecentPlacements, Refusal, rank
from shared.worker_report import LEASE_MS, WorkerReport, WorkerState

NOW_MS = 1_000_000


def report(
    worker_id: str,
    sessions: int = 0,
    capacity: int = 10,
    state: WorkerState = "serving",
    zone: str = "",
    age_ms: int = 500,
) -> WorkerReport:
    return WorkerReport(
        worker_id=worker_id,
        kind="media",
        sessions=sessions,
        capacity=capacity,
        state=state,
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
    result = rank(reports, recent or RecentPlacements(), session, zone, NOW_MS, avoid)
    assert not isinstance(result, Refusal)
    return [candidate.worker_id for candidate in result]


def refusal(reports: list[WorkerReport], avoid: frozenset[str] = frozenset()) -> str:
    result = rank(reports, RecentPlacements(), "s", "", NOW_MS, avoid)
    assert isinstance(result, Refusal)
    return result.reason


def test_the_least_loaded_comes_first() -> None:
    assert ranked([report("a", 5), report("b", 1), report("c", 3)]) == ["b", "c", "a"]


def test_load_is_a_share_of_the_capacity() -> None:
    assert ranked([report("small", 2, capacity=4), report("large", 10, capacity=100)]) == ["large", "small"]


def test_what_we_placed_since_the_report_counts() -> None:
    recent = RecentPlacements()
    for _ in range(3):
        recent.add("a", NOW_MS - 100)
    recent.add("b", NOW_MS - 900)  # before b's report, which therefore has it
    assert ranked([report("a", 1), report("b", 2)], recent) == ["b", "a"]


def test_what_we_placed_can_fill_a_worker() -> None:
    recent = RecentPlacements()
    recent.add("a", NOW_MS - 100)
    result = rank([report("a", 9)], recent, "s", "", NOW_MS)
    assert result == Refusal("1 full")


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
    result = rank([report("a", 3, zone="south")], RecentPlacements(), "s", "north", NOW_MS)
    assert result == [Candidate("a", 0.3, "other zone, 3 of 10 sessions")]


def test_why_nobody_can() -> None:
    silent = report("silent", age_ms=LEASE_MS + CLOCK_TOLERANCE_MS + 1)
    reports = [report("f1", 10), report("f2", 11), report("d", state="draining"), silent, report("x")]
    assert refusal(reports, frozenset({"x"})) == "1 already refused, 1 draining, 2 full, 1 silent"
    assert refusal([]) == "none there"
    assert refusal([report("empty", capacity=0)]) == "1 full"


def test_equals_are_spread_by_session() -> None:
    reports = [report(worker_id) for worker_id in "abcd"]
    first = [ranked(reports, session=f"session-{number}")[0] for number in range(200)]
    assert all(first.count(worker_id) > 25 for worker_id in "abcd")


reports_of_any_kind = st.lists(
    st.builds(
        report,
        worker_id=st.text("abcdef", min_size=1, max_size=3),
        sessions=st.integers(0, 12),
        capacity=st.integers(0, 10),
        state=st.sampled_from(["starting", "serving", "draining"]),
        zone=st.sampled_from(["", "north", "south"]),
        age_ms=st.integers(-1000, 8000),
    ),
    unique_by=lambda each: each.worker_id,
    max_size=8,
)


@given(reports_of_any_kind, st.sampled_from(["", "north"]), st.sets(st.text("abcdef", min_size=1, max_size=3)))
def test_only_workers_that_can_are_named_and_each_once(reports: list[WorkerReport], zone: str, avoid: set[str]) -> None:
    result = rank(reports, RecentPlacements(), "s", zone, NOW_MS, avoid)
    able = {
        each.worker_id
        for each in reports
        if each.state == "serving"
        and each.sessions < each.capacity
        and NOW_MS - each.reported_at_ms <= LEASE_MS + CLOCK_TOLERANCE_MS
        and each.worker_id not in avoid
    }
    if isinstance(result, Refusal):
        assert not able
        return
    assert sorted(candidate.worker_id for candidate in result) == sorted(able)
    by_id = {each.worker_id: each for each in reports}
    order = [(bool(zone) and by_id[candidate.worker_id].zone != zone, candidate.load) for candidate in result]
    assert order == sorted(order)
