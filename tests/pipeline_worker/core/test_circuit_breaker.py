from pipeline_worker.core.circuit_breaker import CircuitBreaker


def broken(at_s: float = 100.0) -> CircuitBreaker:
    breaker = CircuitBreaker(failures_to_open=3, cool_down_s=30)
    for _ in range(3):
        assert breaker.admits(at_s)
        breaker.failed(at_s)
    return breaker


def test_single_failures_change_nothing() -> None:
    breaker = CircuitBreaker(failures_to_open=3, cool_down_s=30)
    for now in range(20):
        breaker.failed(now)
        breaker.failed(now)
        assert breaker.admits(now)
        breaker.succeeded()


def test_failures_in_a_row_open_it_for_the_cool_down() -> None:
    breaker = broken()
    assert breaker.is_open
    assert not breaker.admits(100)
    assert not breaker.admits(129.9)


def test_one_probe_goes_after_the_cool_down() -> None:
    breaker = broken()
    assert breaker.admits(130)
    assert not breaker.admits(130)
    assert not breaker.admits(159)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = broken()
    assert breaker.admits(131)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.admits(131)


def test_a_probe_that_fails_begins_the_cool_down_anew() -> None:
    breaker = broken()
    assert breaker.admits(131)
    breaker.failed(136)
    assert not breaker.admits(165)
    assert breaker.admits(166)


def test_a_probe_without_a_result_is_followed_by_another() -> None:
    breaker = broken()
    assert breaker.admits(131)
    assert breaker.admits(161)
