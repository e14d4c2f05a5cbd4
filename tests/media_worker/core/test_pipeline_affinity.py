from collections import Counter

from media_worker.core.pipeline_affinity import ENOUGH, PipelineAffinity

POOL = "default"


def settled(*workers: str) -> PipelineAffinity:
    """One session on each worker."""
    affinity = PipelineAffinity()
    for worker in workers:
        affinity.taken(f"of-{worker}", POOL, worker)
    return affinity


def chosen(affinity: PipelineAffinity, sessions: int, now: float = 0.0) -> Counter[str]:
    return Counter(affinity.choose(f"s{now}-{index}", POOL, now) for index in range(sessions))


def test_any_worker_will_do_until_there_are_enough() -> None:
    assert chosen(settled("p1", "p2", "p3"), 5) == {"": 5}


def test_sessions_that_come_at_once_are_spread_over_the_usual_workers() -> None:
    assert chosen(settled("p1", "p2", "p3", "p4"), 4 * 10) == {"p1": 10, "p2": 10, "p3": 10, "p4": 10}


def test_of_many_workers_those_with_the_most_sessions_are_the_usual_ones() -> None:
    affinity = settled("p1", "p2", "p3", "p4", "p5", "p6")
    for worker in ("p2", "p3", "p5", "p6"):
        affinity.taken(f"another-of-{worker}", POOL, worker)
    assert set(chosen(affinity, 20)) == {"p2", "p3", "p5", "p6"}
    assert ENOUGH == 4


def test_a_worker_that_took_nothing_is_replaced_by_another() -> None:
    affinity = settled("p1", "p2", "p3", "p4")
    affinity.refused("p1", now=0.0)
    assert affinity.choose("new", POOL, 1.0) == ""
    affinity.taken("new", POOL, "p5")
    assert set(chosen(affinity, 20, 2.0)) == {"p2", "p3", "p4", "p5"}


def test_a_worker_that_took_nothing_is_asked_again_after_half_a_minute() -> None:
    affinity = settled("p1", "p2", "p3", "p4")
    affinity.refused("p1", now=0.0)
    assert set(chosen(affinity, 20, 29.0)) == {""}
    assert set(chosen(affinity, 20, 31.0)) == {"p1", "p2", "p3", "p4"}


def test_a_session_that_lost_its_worker_does_not_get_it_again() -> None:
    affinity = settled("p1", "p2", "p3", "p4", "p5")
    assert affinity.choose("of-p3", POOL, 0.0) not in ("p3", "")
    assert "p3" not in chosen(affinity, 20, 1.0)


def test_workers_of_another_pool_are_not_asked() -> None:
    affinity = settled("p1", "p2", "p3", "p4")
    assert affinity.choose("s1", "gpu", 0.0) == ""


def test_workers_without_sessions_are_forgotten() -> None:
    affinity = settled("p1", "p2", "p3", "p4")
    affinity.ended("of-p1")
    assert affinity.choose("s1", POOL, 0.0) == ""
