import pytest

from media_worker.core.path_selection import Path, PathSelection

HOME = Path(0, ("192.0.2.1", 4000))
FORGED = Path(0, ("203.0.113.9", 9))
FORGED_TOO = Path(0, ("203.0.113.10", 9))
MOBILE = Path(1, ("2001:db8::7", 5000, 0, 0))


@pytest.fixture
def paths() -> PathSelection:
    """Of a caller who is heard at home."""
    paths = PathSelection()
    assert paths.nominate(HOME, 0.0, selected_is_stale=True)
    paths.on_authentic(HOME, 0.1)
    return paths


def heard(paths: PathSelection, path: Path, from_s: float, to_s: float, every_s: float = 0.02) -> list[float]:
    """When packets from `path` changed the selection."""
    times = [from_s + n * every_s for n in range(round((to_s - from_s) / every_s))]
    return [now for now in times if paths.on_authentic((path.socket_index, path.address), now)]


@pytest.mark.parametrize("every_s", [0.02, 0.4])
def test_the_agents_voice_comes_back_from_a_forged_address(paths: PathSelection, every_s: float) -> None:
    assert paths.nominate(FORGED, 1.0, selected_is_stale=False)
    (back_s,) = heard(paths, HOME, 1.0, 4.0, every_s)
    assert 2.0 <= back_s <= 2.0 + every_s
    assert paths.selected == HOME


def test_a_second_attempt_gets_nothing(paths: PathSelection) -> None:
    paths.nominate(FORGED, 1.0, selected_is_stale=False)
    heard(paths, HOME, 1.0, 3.0)
    for n in range(100):
        assert not paths.nominate(FORGED if n % 2 else FORGED_TOO, 3.0 + n * 0.1, selected_is_stale=False)
    assert paths.selected == HOME


def test_nominations_in_turn_buy_no_time(paths: PathSelection) -> None:
    for n in range(20):
        paths.nominate(FORGED if n % 2 else FORGED_TOO, 1.0 + n * 0.1, selected_is_stale=False)
        heard(paths, HOME, 1.0 + n * 0.1, 1.1 + n * 0.1)
    assert paths.selected == HOME


def test_a_caller_who_changes_networks_keeps_the_new_one(paths: PathSelection) -> None:
    assert paths.nominate(MOBILE, 1.0, selected_is_stale=False)
    assert not paths.on_authentic(HOME, 1.05), "a packet that was on its way"
    assert heard(paths, MOBILE, 1.06, 5.0) == []
    assert not paths.on_authentic(HOME, 5.0)
    assert paths.selected == MOBILE


def test_a_nat_that_rebinds_in_silence_is_followed(paths: PathSelection) -> None:
    """On hold a caller sends RTCP every five seconds."""
    assert paths.nominate(MOBILE, 1.0, selected_is_stale=False)
    assert not paths.on_authentic(MOBILE, 5.9)
    assert paths.selected == MOBILE


def test_a_caller_who_moves_after_an_attack_is_followed_with_the_first_packet(paths: PathSelection) -> None:
    paths.nominate(FORGED, 1.0, selected_is_stale=False)
    heard(paths, HOME, 1.0, 4.0)
    assert not paths.nominate(MOBILE, 4.0, selected_is_stale=False)
    assert heard(paths, MOBILE, 4.02, 5.0) == [4.02]
    assert paths.selected == MOBILE


def test_after_an_attack_a_silent_caller_is_followed_once_the_old_path_is_stale(paths: PathSelection) -> None:
    paths.nominate(FORGED, 1.0, selected_is_stale=False)
    heard(paths, HOME, 1.0, 3.0)
    assert paths.nominate(MOBILE, 9.0, selected_is_stale=True)
    assert paths.selected == MOBILE


def test_before_the_first_packet_any_nomination_counts() -> None:
    paths = PathSelection()
    paths.nominate(HOME, 0.0, selected_is_stale=True)
    assert paths.nominate(MOBILE, 0.1, selected_is_stale=False)
    assert paths.selected == MOBILE


def test_a_forged_address_that_came_before_the_first_packet_had_the_agents_voice_for_the_whole_call() -> None:
    paths = PathSelection()
    paths.nominate(HOME, 0.0, selected_is_stale=True)
    paths.nominate(FORGED, 0.1, selected_is_stale=False)
    assert heard(paths, HOME, 0.2, 2.0) == [0.2]
    assert paths.selected == HOME


def test_a_last_packet_from_the_first_path_does_not_keep_a_caller_there() -> None:
    paths = PathSelection()
    paths.nominate(HOME, 0.0, selected_is_stale=True)
    paths.nominate(MOBILE, 0.1, selected_is_stale=False)
    paths.on_authentic(HOME, 0.2)
    assert heard(paths, MOBILE, 0.22, 1.0) == [0.22]
    assert paths.selected == MOBILE


def test_packets_of_other_valid_addresses_select_nothing_while_the_selected_one_shows_some(
    paths: PathSelection,
) -> None:
    for n in range(20):
        assert heard(paths, HOME, 1.0 + n * 0.4, 1.02 + n * 0.4) == []
        assert heard(paths, MOBILE, 1.2 + n * 0.4, 1.22 + n * 0.4) == []
    assert paths.selected == HOME


def test_the_agent_falls_silent_only_for_a_second_when_a_client_that_nominates_once_moves(paths: PathSelection) -> None:
    (moved_s,) = heard(paths, MOBILE, 0.2, 3.0)
    assert moved_s == pytest.approx(1.1, abs=0.03)
    assert paths.selected == MOBILE
    assert not paths.on_authentic(HOME, 3.0), "a packet that was on its way"
