import pytest

from media_worker.core.lifetime import FAREWELL_S, HANGUP_GRACE_S, RELOAD_GRACE_S, Lifetime

LEFT_S, CHECK_S, SILENT_S = 100.0, 10.0, 15.0


@pytest.fixture
def lifetime() -> Lifetime:
    return Lifetime(1_000.0, LEFT_S, CHECK_S, SILENT_S)


def test_a_session_whose_caller_is_heard_goes_on(lifetime: Lifetime) -> None:
    assert lifetime.over(1_099.0, 1_098.0, connected=True, deaf=False) is None


@pytest.mark.parametrize(("last_heard_s", "reason"), [(0.0, "connect_timeout"), (1_009.0, None)])
def test_a_caller_who_sends_no_check_does_not_connect(lifetime: Lifetime, last_heard_s: float, reason: str) -> None:
    assert lifetime.over(1_010.0, last_heard_s, connected=False, deaf=False) is None
    assert lifetime.over(1_010.1, last_heard_s, connected=False, deaf=False) == reason


def test_a_caller_who_falls_silent_is_gone(lifetime: Lifetime) -> None:
    assert lifetime.over(1_025.0, 1_010.0, connected=True, deaf=False) is None
    assert lifetime.over(1_025.1, 1_010.0, connected=True, deaf=False) == "silent_timeout"


def test_a_session_ends_some_time_after_its_longest_duration(lifetime: Lifetime) -> None:
    ends_s = 1_000.0 + LEFT_S + FAREWELL_S
    assert lifetime.over(ends_s, ends_s, connected=True, deaf=False) is None
    assert lifetime.over(ends_s + 0.1, ends_s, connected=True, deaf=False) == "max_duration"


def test_a_hangup_ends_the_session_unless_it_turns_out_to_have_moved_and_it_waits_for_a_broker_that_is_away(
    lifetime: Lifetime,
) -> None:
    lifetime.on_hangup(1_020.0)
    lifetime.on_hangup(1_020.5)
    assert lifetime.hung_up
    assert lifetime.over(1_020.0 + HANGUP_GRACE_S, 1_020.0, connected=True, deaf=False) is None
    assert lifetime.over(1_060.0, 1_020.0, connected=True, deaf=True) is None
    assert lifetime.over(1_020.1 + HANGUP_GRACE_S, 1_020.0, connected=True, deaf=False) == "hangup"


def test_a_page_that_is_reloaded_has_some_time_to_come_back() -> None:
    lifetime = Lifetime(1_000.0, LEFT_S, CHECK_S, SILENT_S, survives_reload=True)
    lifetime.on_hangup(1_020.0)
    assert lifetime.over(1_020.0 + RELOAD_GRACE_S, 1_020.0, connected=True, deaf=False) is None
    assert lifetime.over(1_020.1 + RELOAD_GRACE_S, 1_020.0, connected=True, deaf=False) == "hangup"
