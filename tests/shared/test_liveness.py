from shared.liveness import Liveness


def listening(*, since: float = 100.0) -> Liveness:
    liveness = Liveness()
    liveness.on_read(since)
    return liveness


def read_until(liveness: Liveness, begin: float, end: float) -> None:
    """Reads that bring nothing, every half second."""
    now = begin
    while now <= end:
        liveness.on_read(now)
        now += 0.5


def test_a_process_that_falls_silent_is_lost_after_two_seconds() -> None:
    liveness = listening()
    liveness.on_heard("worker")
    read_until(liveness, 100.5, 102.0)
    assert not liveness.is_lost("worker")
    liveness.on_read(102.5)
    assert liveness.is_lost("worker")
    assert liveness.silent_s("worker") == 2.5


def test_a_process_that_was_heard_again_is_not_lost() -> None:
    liveness = listening()
    liveness.on_heard("worker")
    read_until(liveness, 100.5, 103.0)
    liveness.on_heard("worker")
    assert not liveness.is_lost("worker")


def test_nobody_is_lost_because_the_broker_hung() -> None:
    liveness = listening()
    liveness.on_heard("worker")
    liveness.on_read(130.0)
    assert liveness.silent_s("worker") == 0
    read_until(liveness, 130.5, 132.0)
    assert not liveness.is_lost("worker")
    liveness.on_read(132.5)
    assert liveness.is_lost("worker")


def test_while_nothing_can_be_read_nothing_is_known() -> None:
    liveness = listening()
    assert not liveness.is_deaf(100.9)
    assert liveness.is_deaf(101.1)


def test_a_process_that_is_expected_and_never_comes_is_lost() -> None:
    liveness = listening()
    liveness.expect("worker")
    read_until(liveness, 100.5, 102.5)
    assert liveness.is_lost("worker")
    assert not liveness.is_lost("a stranger")


def test_expecting_a_process_that_was_heard_changes_nothing() -> None:
    liveness = listening()
    liveness.on_heard("worker")
    read_until(liveness, 100.5, 102.0)
    liveness.expect("worker")
    assert liveness.silent_s("worker") == 2.0


def test_of_many_senders_those_are_remembered_who_were_heard_last() -> None:
    liveness = listening()
    for number in range(4_096):
        liveness.on_heard(f"sender-{number}")
    liveness.on_heard("sender-0")
    liveness.on_heard("another")
    read_until(liveness, 100.5, 103.0)
    assert liveness.is_lost("sender-0")
    assert not liveness.is_lost("sender-1"), "it is a stranger again"
