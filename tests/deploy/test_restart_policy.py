from deploy.restart_policy import HEALTHY_AFTER_S, HOPELESS_STARTS, LONGEST_DELAY_S, RestartPolicy


def test_a_child_that_never_ran_well_is_given_up_after_growing_delays() -> None:
    policy = RestartPolicy()
    delays = [policy.delay_after_crash(uptime_s=0.1) for _ in range(HOPELESS_STARTS)]
    assert delays == [0.5, 1.0, 2.0, None]


def test_a_child_that_once_ran_well_is_always_restarted() -> None:
    policy = RestartPolicy()
    policy.delay_after_crash(HEALTHY_AFTER_S)
    delays = [policy.delay_after_crash(uptime_s=0.1) for _ in range(2000)]
    assert delays[:3] == [1.0, 2.0, 4.0]
    assert set(delays[3:]) == {LONGEST_DELAY_S}


def test_a_good_run_resets_the_delay() -> None:
    policy = RestartPolicy()
    for _ in range(HOPELESS_STARTS - 1):
        policy.delay_after_crash(uptime_s=0.1)
    assert policy.delay_after_crash(HEALTHY_AFTER_S) == 0.5
