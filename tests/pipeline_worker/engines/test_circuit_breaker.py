from pipeline_worker.engines.circuit_breaker import LONGEST_COOL_DOWN_S, CircuitBreaker


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


def test_a_probe_that_fails_doubles_the_cool_down_up_to_a_bound() -> None:
    breaker, now_s, waits = broken(), 130.0, []
    assert breaker.admits(now_s)
    for _ in range(6):
        breaker.failed(now_s)
        again_s = now_s
        while not breaker.admits(again_s):
            again_s += 1
        waits.append(again_s - now_s)
        now_s = again_s
    assert waits == [60, 120, 240, LONGEST_COOL_DOWN_S, LONGEST_COOL_DOWN_S, LONGEST_COOL_DOWN_S]


def test_failures_of_calls_that_were_under_way_are_no_probes() -> None:
    breaker = broken()
    breaker.failed(110)
    assert not breaker.admits(139)
    assert breaker.admits(140)


def test_after_a_success_the_cool_down_is_short_again() -> None:
    breaker = broken()
    assert breaker.admits(130)
    breaker.failed(130)
    assert breaker.admits(190)
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(200)
    assert not breaker.admits(229)
    assert breaker.admits(230)


def test_a_probe_without_a_result_is_followed_by_another() -> None:
    breaker = broken()
    assert breaker.admits(131)
    assert breaker.admits(161)
