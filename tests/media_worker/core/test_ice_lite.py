import pytest
from aioice import stun as aioice_stun
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.ice_lite import Answered, Credentials, IceLiteAgent
from media_worker.core.path_selection import Path
from media_worker.core.stun import BindingRequest, parse_request

OURS = Credentials("ours", "password-of-ours-22-chars")
RESTARTED = Credentials("next", "password-of-next-22-chars")
HOME = Path(0, ("192.0.2.1", 4000))
REBOUND = Path(0, ("192.0.2.1", 4001))
MOBILE = Path(1, ("2001:db8::7", 5000, 0, 0))


def check(credentials: Credentials = OURS, *, nominate: bool = False, controlled: bool = False) -> BindingRequest:
    message = aioice_stun.Message(message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{credentials.ufrag}:theirs"
    message.attributes["ICE-CONTROLLED" if controlled else "ICE-CONTROLLING"] = 1
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(credentials.password.encode())
    return parse_request(bytes(message))


@pytest.fixture
def agent() -> IceLiteAgent:
    return IceLiteAgent(OURS)


def read(answered: Answered, credentials: Credentials = OURS) -> aioice_stun.Message:
    message = aioice_stun.parse_message(answered.response)
    assert message.check_message_integrity(credentials.password.encode())
    return message


def accepted(answered: Answered | None) -> Answered:
    assert answered is not None
    return answered


def test_a_wrong_password_changes_nothing(agent: IceLiteAgent) -> None:
    forged = check(Credentials("ours", "guessed-guessed-guessed-1"), nominate=True)
    assert agent.on_request(forged, HOME, 1.0) is None
    assert agent.paths.selected is None
    assert agent.checked_s(HOME) is None


def test_a_strange_fragment_changes_nothing(agent: IceLiteAgent) -> None:
    assert agent.on_request(check(Credentials("alien", OURS.password)), HOME, 1.0) is None
    assert agent.checked_s(HOME) is None


def test_the_first_signed_check_is_answered_and_selects(agent: IceLiteAgent) -> None:
    answered = accepted(agent.on_request(check(), HOME, 1.0))
    assert read(answered).attributes["XOR-MAPPED-ADDRESS"] == HOME.source
    assert answered.selected == agent.paths.selected == HOME
    assert agent.checked_s(HOME) is not None


def test_a_second_address_is_validated_but_not_selected_before_nomination(agent: IceLiteAgent) -> None:
    agent.on_request(check(), HOME, 1.0)
    assert accepted(agent.on_request(check(), MOBILE, 1.1)).selected is None
    assert agent.checked_s(MOBILE) is not None
    assert agent.paths.selected == HOME


def test_nomination_is_followed(agent: IceLiteAgent) -> None:
    agent.on_request(check(), HOME, 1.0)
    agent.on_request(check(), MOBILE, 1.1)
    assert accepted(agent.on_request(check(nominate=True), MOBILE, 1.2)).selected == MOBILE
    assert agent.paths.selected == MOBILE


def test_a_repeated_nomination_selects_nothing_new(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 1.0)
    assert accepted(agent.on_request(check(nominate=True), HOME, 2.0)).selected is None


def test_a_rebound_nat_is_followed_at_once_when_the_caller_nominates(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 1.0)
    assert accepted(agent.on_request(check(nominate=True), REBOUND, 1.5)).selected == REBOUND


def test_a_silent_selected_address_is_replaced_by_a_live_one(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 1.0)
    assert accepted(agent.on_request(check(), REBOUND, 6.0)).selected is None
    assert accepted(agent.on_request(check(), REBOUND, 6.1)).selected == REBOUND


def test_a_selected_address_that_is_checked_stays(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 1.0)
    for second in range(2, 20):
        agent.on_request(check(), HOME, float(second))
        assert accepted(agent.on_request(check(), REBOUND, second + 0.5)).selected is None


def test_old_credentials_stay_good_until_a_nomination_with_the_new_ones(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 1.0)
    agent.restart(RESTARTED)
    assert agent.offered_credentials == RESTARTED
    assert set(agent.ufrags) == {"ours", "next"}
    assert agent.on_request(check(), HOME, 2.0) is not None
    answered = accepted(agent.on_request(check(RESTARTED, nominate=True), MOBILE, 3.0))
    assert read(answered, RESTARTED).error_code is None
    assert answered.selected == MOBILE
    assert agent.offered_credentials == agent.credentials == RESTARTED
    assert agent.on_request(check(nominate=True), HOME, 4.0) is None
    assert agent.paths.selected == MOBILE


def test_a_browser_that_only_tries_the_new_credentials_keeps_its_connection(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 1.0)
    agent.restart(RESTARTED)
    agent.on_request(check(nominate=True), REBOUND, 2.0)
    answered = accepted(agent.on_request(check(RESTARTED), MOBILE, 2.1))
    assert read(answered, RESTARTED).error_code is None
    assert agent.checked_s(MOBILE) is not None
    assert agent.on_request(check(nominate=True), REBOUND, 3.0) is not None
    assert agent.paths.selected == REBOUND


def test_new_fragment_with_the_old_password_is_forged(agent: IceLiteAgent) -> None:
    agent.restart(RESTARTED)
    assert agent.on_request(check(Credentials("next", OURS.password)), HOME, 1.0) is None
    assert agent.credentials == OURS


def test_any_number_of_restarts_leaves_two_fragments(agent: IceLiteAgent) -> None:
    outdated = [ufrag for n in range(50) for ufrag in agent.restart(Credentials(f"u{n}", "p" * 22))]
    assert set(agent.ufrags) == {"ours", "u49"}
    assert set(outdated) == {f"u{n}" for n in range(49)}


def test_a_restart_after_a_used_one_outdates_the_first_fragment(agent: IceLiteAgent) -> None:
    agent.restart(RESTARTED)
    agent.on_request(check(RESTARTED, nominate=True), HOME, 1.0)
    assert agent.restart(Credentials("third", "p" * 22)) == ["ours"]


def test_a_controlled_peer_gets_a_role_conflict_and_is_not_validated(agent: IceLiteAgent) -> None:
    answered = accepted(agent.on_request(check(controlled=True), HOME, 1.0))
    assert read(answered).error_code == 487
    assert answered.selected is None
    assert agent.checked_s(HOME) is None


def test_the_number_of_addresses_is_bounded_and_the_selected_one_is_kept(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 0.0)
    paths = [Path(0, ("192.0.2.9", port)) for port in range(5000, 5100)]
    forgotten = [agent.on_request(check(), path, 1.0) for path in paths]
    valid = [path for path in paths if agent.checked_s(path) is not None]
    assert agent.checked_s(HOME) is not None
    assert len(valid) == 15
    assert valid == paths[-15:]
    told = [answered.forgotten for answered in forgotten if answered is not None and answered.forgotten]
    assert told == paths[:-15]


def test_a_forgotten_address_can_come_back(agent: IceLiteAgent) -> None:
    for port in range(5000, 5020):
        agent.on_request(check(), Path(0, ("192.0.2.9", port)), 1.0)
    again = Path(0, ("192.0.2.9", 5001))
    assert agent.checked_s(again) is None
    agent.on_request(check(), again, 2.0)
    assert agent.checked_s(again) is not None


def test_the_source_of_an_ipv6_path_is_host_and_port() -> None:
    assert MOBILE.source == ("2001:db8::7", 5000)


def test_a_copied_check_from_another_address_gets_no_answer(agent: IceLiteAgent) -> None:
    nominating = check(nominate=True)
    agent.on_request(nominating, HOME, 1.0)
    assert agent.on_request(nominating, MOBILE, 1.1) is None
    assert agent.on_request(nominating, MOBILE, 9.9) is None
    assert agent.checked_s(MOBILE) is None
    assert agent.paths.selected == HOME


def test_a_check_that_is_repeated_is_answered_again(agent: IceLiteAgent) -> None:
    nominating = check(nominate=True)
    first, again = (accepted(agent.on_request(nominating, HOME, now)) for now in (1.0, 1.5))
    assert first.response == again.response


def test_of_the_checks_of_a_long_call_the_last_are_remembered(agent: IceLiteAgent) -> None:
    checks = [check(nominate=True) for _ in range(300)]
    for number, each in enumerate(checks):
        agent.on_request(each, HOME, number * 2.5)
    assert agent.on_request(checks[200], MOBILE, 750.0) is None
    assert len(agent._checks) == 256


@given(
    st.sampled_from([HOME, MOBILE]),
    st.integers(0, 40),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_no_answer_is_longer_than_its_request(
    path: Path, their_ufrag: int, nominates: bool, has_role: bool, is_controlled: bool, has_fingerprint: bool
) -> None:
    message = aioice_stun.Message(message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{OURS.ufrag}:{'t' * their_ufrag}"
    if nominates:
        message.attributes["USE-CANDIDATE"] = None
    if has_role:
        message.attributes["ICE-CONTROLLED" if is_controlled else "ICE-CONTROLLING"] = 1
    message.add_message_integrity(OURS.password.encode())
    if has_fingerprint:
        message.add_fingerprint()
    request = bytes(message)
    agent = IceLiteAgent(OURS)
    answered = agent.on_request(parse_request(request), path, 1.0)
    if answered is None:
        assert len(request) < 76
        assert agent.checked_s(path) is None
        assert agent.paths.selected is None
    else:
        assert len(answered.response) <= len(request)


def test_a_check_as_browsers_send_it_is_answered_over_ipv6(agent: IceLiteAgent) -> None:
    message = aioice_stun.Message(message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST)
    message.attributes.update({"USERNAME": "ours:t", "ICE-CONTROLLING": 1, "PRIORITY": 1})
    message.add_message_integrity(OURS.password.encode())
    message.add_fingerprint()
    assert agent.on_request(parse_request(bytes(message)), MOBILE, 1.0) is not None


def test_of_a_flood_of_valid_checks_100_a_second_are_answered(agent: IceLiteAgent) -> None:
    answered = sum(agent.on_request(check(), HOME, n / 1_000) is not None for n in range(5_000))
    assert answered == pytest.approx(200 + 5 * 100, abs=2)


def test_a_browser_that_checks_every_20_ms_gets_every_answer(agent: IceLiteAgent) -> None:
    assert all(agent.on_request(check(), HOME, n * 0.02) for n in range(1_000))


def test_a_flood_of_checks_makes_the_callers_path_not_stale(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 0.0)
    for n in range(20_000):
        agent.on_request(check(), MOBILE, n / 1_000)
        if n % 1_000 == 0:
            agent.on_request(check(), HOME, n / 1_000)
    assert agent.paths.selected == HOME


def test_the_path_before_the_selected_one_stays_valid_while_it_may_be_restored(agent: IceLiteAgent) -> None:
    agent.on_request(check(nominate=True), HOME, 1.0)
    agent.paths.on_authentic(HOME, 1.0)
    for port in range(5000, 5100):
        agent.on_request(check(nominate=True), Path(0, ("192.0.2.9", port)), 1.1)
    assert agent.checked_s(HOME) is not None
    assert agent.paths.on_authentic(HOME, 2.2)
    assert agent.paths.selected == HOME
