import pytest
from hypothesis import given
from hypothesis import strategies as st

from callers.load.schedule import Level, Schedule, burst, dealt, ramp, share, soak, steady
from shared.errors import ConfigError

_LEVELS = st.lists(st.builds(Level, st.integers(0, 500), st.floats(0, 100)), min_size=1, max_size=6)


def test_callers_come_one_by_one_and_stay() -> None:
    schedule = steady(10, hold_s=5.0, arrivals_per_s=2.0)
    assert [schedule.wanted(at) for at in (0.0, 0.5, 1.0, 4.9, 5.0, 9.9)] == [0, 1, 2, 9, 10, 10]
    assert (schedule.duration_s, schedule.wanted(10.0), schedule.level_at(10.0)) == (10.0, 0, None)
    assert not schedule.holds(4.9)
    assert schedule.holds(5.0)


def test_a_ramp_holds_each_level_once_its_callers_are_due() -> None:
    schedule = ramp([10, 20], hold_s=30.0, arrivals_per_s=10.0)
    assert [schedule.wanted(at) for at in (1.0, 30.9, 31.5, 32.0, 61.9)] == [10, 10, 15, 20, 20]
    assert [schedule.level_at(at) for at in (30.9, 31.0, 62.0)] == [0, 1, None]


def test_a_burst_comes_and_goes() -> None:
    schedule = burst(10, 110, hold_s=10.0, bursts=2, arrivals_per_s=100.0)
    assert [level.callers for level in schedule.levels] == [10, 110, 10, 110, 10]
    assert schedule.most_callers == 110
    assert schedule.wanted(11.1) == 110
    assert schedule.wanted(21.6) < 110


def test_a_soak_replaces_callers_who_hang_up() -> None:
    assert soak(50, hold_s=86_400.0, arrivals_per_s=5.0).call_s == 180.0


def test_a_measured_load_grows_level_by_level() -> None:
    schedule = steady(10, 5.0, 10.0).then(Level(4, 5.0))
    assert schedule.wanted(6.2) == 8
    assert schedule.wanted(8.0) == 4


@given(_LEVELS, st.floats(0.1, 1000), st.floats(0, 1), st.floats(0, 1))
def test_arrivals_never_exceed_their_rate(levels: list[Level], rate: float, one: float, other: float) -> None:
    schedule = Schedule(levels, rate)
    early, late = sorted(part * schedule.duration_s * 0.999 for part in (one, other))
    assert abs(schedule.wanted(late) - schedule.wanted(early)) <= (late - early) * rate + 1 + 1e-6
    assert 0 <= schedule.wanted(early) <= schedule.most_callers


@given(st.integers(0, 1000), st.integers(1, 40))
def test_processes_share_the_callers_evenly(callers: int, processes: int) -> None:
    shares = [share(callers, index, processes) for index in range(processes)]
    assert sum(shares) == callers
    assert max(shares) - min(shares) <= 1
    assert all(share(callers + 1, index, processes) >= before for index, before in enumerate(shares))


def test_few_callers_come_from_all_hosts() -> None:
    assert dealt([2, 1, 3]) == [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (2, 2)]
    assert dealt([]) == []


@pytest.mark.parametrize(
    ("levels", "rate", "complaint"),
    [
        ([], 1.0, "at least one level"),
        ([Level(1, 1.0)], 0.0, "arrivals per second"),
        ([Level(1, 1.0)], 1e6, "at most 1000"),
        ([Level(-1, 1.0)], 1.0, "callers"),
        ([Level(1, float("inf"))], 1.0, "0 or more"),
    ],
)
def test_impossible_schedules_are_refused(levels: list[Level], rate: float, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Schedule(levels, rate)
