"""The estimate, on machines that a model stands for: what sessions cost there, and who arrives when."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.capacity import BUSY, CapacityEstimate

EXPECTED = 100


def loaded(estimate: CapacityEstimate, core_share: float, sessions: int, seconds: int = 5) -> CapacityEstimate:
    for _ in range(seconds):
        estimate.on_load(core_share, sessions)
    return estimate


def test_before_there_is_load_the_expected_cost_decides() -> None:
    assert CapacityEstimate(EXPECTED).capacity(0) == 100
    assert CapacityEstimate(EXPECTED / 10).capacity(0) == 10
    assert CapacityEstimate(EXPECTED / 100).capacity(0) == 1


def test_capacity_follows_from_the_measured_cost() -> None:
    estimate = loaded(CapacityEstimate(EXPECTED), 0.35, 100, seconds=60)
    assert estimate.capacity(100) == 186
    assert loaded(estimate, 0.5, 140).capacity(140) == 190


def test_beyond_the_bound_there_is_no_room_and_no_session_ends() -> None:
    estimate = loaded(CapacityEstimate(EXPECTED), 0.9, 100)
    assert estimate.capacity(100) == 100
    assert estimate.capacity(120) == 120


def test_a_burst_of_callers_does_not_make_the_worker_full_for_seconds() -> None:
    estimate = loaded(CapacityEstimate(EXPECTED), 1.0, 60, seconds=2)
    assert estimate.capacity(60) == 100


def test_few_sessions_are_not_blamed_for_the_load() -> None:
    estimate = loaded(CapacityEstimate(EXPECTED), 1.0, 3)
    assert estimate.capacity(3) == estimate.capacity(9) == 10


def test_after_a_fall_it_rises_slowly_and_never_jumps() -> None:
    estimate = loaded(CapacityEstimate(EXPECTED), 0.9, 50)
    seen = [loaded(estimate, 0.2, 50, seconds=1).capacity(50) for _ in range(60)]
    assert seen[-1] > 150
    assert all(0 <= after - before <= 5 for before, after in pairwise(seen))


def test_quiet_sessions_do_not_promise_endless_room() -> None:
    estimate = loaded(CapacityEstimate(EXPECTED), 0.01, 50, seconds=300)
    assert estimate.capacity(50) < 50 + 3 * 100


class Machine:
    """`cost` of a session, of opening one, and of the process itself, in seconds of a core."""

    def __init__(self, cost: float, misjudged: float = 1.0) -> None:
        """`misjudged`: how much cheaper a session seemed to be, by the speed of the core."""
        self.cost = cost
        self.estimate = CapacityEstimate(BUSY / cost * misjudged)
        self.sessions = 0
        self.refused = 0
        self.capacities: list[int] = []
        self.worst_share = 0.0

    def run(self, seconds: int, arrivals_per_s: float, chance: random.Random, ends_per_s: float = 0.0) -> None:
        """Newcomers come at any time of a second; load is measured at its end."""
        waiting = 0.0
        for _ in range(seconds):
            waiting += arrivals_per_s
            opened, before = 0, self.sessions
            while waiting >= 1:
                waiting -= 1
                if self.sessions < self.estimate.capacity(self.sessions):
                    self.sessions += 1
                    opened += 1
                else:
                    self.refused += 1
            self.sessions -= sum(chance.random() < ends_per_s for _ in range(self.sessions))
            talking = (before + self.sessions) / 2
            noise = 1 + 0.1 * (2 * chance.random() - 1)
            share = 0.02 + self.cost * noise * talking + 4 * self.cost * opened
            self.estimate.on_load(min(1.0, share), self.sessions)
            self.capacities.append(self.estimate.capacity(self.sessions))
            self.worst_share = max(self.worst_share, 0.02 + self.cost * self.sessions)


MOST = 0.95
"""Share of a core beyond which callers suffer."""


@given(
    cost=st.floats(0.0007, 0.07),
    misjudged=st.floats(0.3, 1.3),
    arrivals_per_s=st.floats(0.5, 500),
    seed=st.integers(0, 1000),
)
def test_no_fast_or_slow_machine_takes_more_than_it_carries_however_they_come(
    cost: float, misjudged: float, arrivals_per_s: float, seed: int
) -> None:
    machine = Machine(cost, misjudged)
    machine.run(120, arrivals_per_s, random.Random(seed))
    assert machine.worst_share <= MOST


@given(misjudged=st.floats(1, 10), seed=st.integers(0, 1000))
def test_a_machine_ten_times_slower_than_it_seemed_refuses_before_its_callers_suffer(
    misjudged: float, seed: int
) -> None:
    machine = Machine(0.07, misjudged)
    machine.run(240, 0.5, random.Random(seed))
    assert machine.worst_share <= MOST
    assert machine.refused > 0


@given(cost=st.floats(0.0007, 0.02), misjudged=st.floats(0.4, 1.3), seed=st.integers(0, 1000))
def test_the_core_is_used(cost: float, misjudged: float, seed: int) -> None:
    machine = Machine(cost, misjudged)
    carried = BUSY / cost
    machine.run(300, carried / 60, random.Random(seed))
    assert machine.worst_share >= 0.85 * BUSY


@given(seed=st.integers(0, 1000), sessions=st.integers(10, 80))
def test_the_capacity_is_steady_while_callers_come_and_go(seed: int, sessions: int) -> None:
    machine = Machine(0.0045, 0.65)
    machine.run(200, sessions / 60, random.Random(seed), ends_per_s=1 / 60)
    steady = machine.capacities[100:]
    mean = sum(steady) / len(steady)
    assert math.sqrt(sum((capacity - mean) ** 2 for capacity in steady) / len(steady)) < 0.08 * mean


@pytest.mark.parametrize("together", [1, 4, 60])
def test_sixty_callers_who_come_within_a_second_are_carried(together: int) -> None:
    machine = Machine(0.0045, 0.65)
    machine.run(60 // together, together, random.Random(1))
    assert (machine.sessions, machine.refused) == (60, 0)
