import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.client_messages import (
    Bye,
    IceCandidate,
    Limits,
    Offer,
    ResumeSession,
    RTCIceCandidateInit,
    UnknownMessage,
    parse_client_message,
)
from shared.errors import PeerError

LIMITS = Limits(max_message_bytes=65_536, max_sdp_bytes=32_768)
CODES = {"message_too_large", "bad_json", "bad_message", "sdp_too_large"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


def refusal(text: str) -> PeerError:
    with pytest.raises(PeerError) as raised:
        parse_client_message(text, LIMITS)
    return raised.value


def test_the_specification_clients_offer() -> None:
    message = parse_client_message('{"type":"offer","sdp":"v=0\\r\\n","agentId":"agent_123"}', LIMITS)
    assert message == Offer(type="offer", sdp="v=0\r\n", agentId="agent_123")


def test_an_offer_may_carry_what_we_do_not_read_yet() -> None:
    text = json.dumps({"type": "offer", "sdp": "v=0", "agentId": "a", "token": "t", "new": [1]})
    assert parse_client_message(text, LIMITS) == Offer(type="offer", sdp="v=0", agentId="a", token="t")


def test_a_browsers_candidate() -> None:
    candidate = {"candidate": "candidate:1 1 udp 1 a.local 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    text = json.dumps({"type": "ice-candidate", "candidate": {**candidate, "usernameFragment": "uf"}})
    message = parse_client_message(text, LIMITS)
    assert isinstance(message, IceCandidate)
    assert isinstance(message.candidate, RTCIceCandidateInit)
    assert not message.is_last


@pytest.mark.parametrize(("candidate", "is_last"), [("null", True), ('""', True), ('"candidate:1"', False)])
def test_a_candidate_may_be_a_string_or_null(candidate: str, is_last: bool) -> None:
    message = parse_client_message(f'{{"type":"ice-candidate","candidate":{candidate}}}', LIMITS)
    assert isinstance(message, IceCandidate)
    assert message.is_last is is_last


def test_an_offer_that_moves_a_session() -> None:
    text = json.dumps({"type": "offer", "sdp": "v=0", "agentId": "a", "resumeToken": "s.t", "lastSeq": 7})
    message = parse_client_message(text, LIMITS)
    assert message == Offer(type="offer", sdp="v=0", agentId="a", resumeToken="s.t", lastSeq=7)


def test_resume() -> None:
    message = parse_client_message('{"type":"resume","resumeToken":"s.t","lastSeq":7}', LIMITS)
    assert message == ResumeSession(type="resume", resumeToken="s.t", lastSeq=7)
    seen_nothing = parse_client_message('{"type":"resume","resumeToken":"s.t"}', LIMITS)
    assert seen_nothing == ResumeSession(type="resume", resumeToken="s.t", lastSeq=0)


def test_bye() -> None:
    assert parse_client_message('{"type":"bye"}', LIMITS) == Bye(type="bye")


def test_an_unknown_type_is_not_an_error() -> None:
    assert parse_client_message('{"type":"hologram","x":1}', LIMITS) == UnknownMessage("hologram")


@pytest.mark.parametrize("text", ["", "hello", "{", '{"type":"bye"', '{"type":NaN}', '"\\ud800"', "[" * 30_000])
def test_text_that_is_not_json(text: str) -> None:
    assert refusal(text).code == "bad_json"


@pytest.mark.parametrize("text", ["[]", "1", "null", "{}", '{"type":null}', '{"type":{}}'])
def test_json_that_is_not_a_message(text: str) -> None:
    assert refusal(text).code == "bad_message"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "offer", "agentId": "a"}, "sdp"),
        ({"type": "offer", "sdp": "", "agentId": "a"}, "sdp"),
        ({"type": "offer", "sdp": 5, "agentId": "a"}, "sdp"),
        ({"type": "offer", "sdp": "v=0"}, "agentId"),
        ({"type": "offer", "sdp": "v=0", "agentId": "a" * 65}, "agentId"),
        ({"type": "offer", "sdp": "v=0", "agentId": "a", "resumeToken": 7}, "resumeToken"),
        ({"type": "offer", "sdp": "v=0", "agentId": "a", "lastSeq": -1}, "lastSeq"),
        ({"type": "resume"}, "resumeToken"),
        ({"type": "resume", "resumeToken": "t" * 257}, "resumeToken"),
        ({"type": "resume", "resumeToken": "t", "lastSeq": 2**31}, "lastSeq"),
        ({"type": "ice-candidate"}, "candidate"),
        ({"type": "ice-candidate", "candidate": 5}, "candidate"),
        ({"type": "ice-candidate", "candidate": {"sdpMid": "0"}}, "candidate.candidate"),
        ({"type": "ice-candidate", "candidate": {"candidate": "c", "sdpMLineIndex": -1}}, "candidate.sdpMLineIndex"),
    ],
)
def test_a_bad_field_is_named(message: dict[str, object], field: str) -> None:
    error = refusal(json.dumps(message))
    assert error.code == "bad_message"
    assert error.message.startswith(f"{message['type']}: {field}: ")


def test_a_message_of_more_than_64_kb() -> None:
    fits = json.dumps({"type": "x", "pad": ""})
    padded = json.dumps({"type": "x", "pad": "p" * (LIMITS.max_message_bytes - len(fits))})
    assert parse_client_message(padded, LIMITS) == UnknownMessage("x")
    assert refusal(padded + " ").code == "message_too_large"


def test_the_limit_counts_bytes_not_characters() -> None:
    text = json.dumps({"type": "x", "pad": "é" * 40_000}, ensure_ascii=False)
    assert len(text) < LIMITS.max_message_bytes
    assert refusal(text).code == "message_too_large"


def test_an_sdp_of_more_than_32_kb() -> None:
    def offer(size: int) -> str:
        return json.dumps({"type": "offer", "sdp": "s" * size, "agentId": "a"})

    assert isinstance(parse_client_message(offer(LIMITS.max_sdp_bytes), LIMITS), Offer)
    assert refusal(offer(LIMITS.max_sdp_bytes + 1)).code == "sdp_too_large"


@given(st.text())
def test_any_text_is_a_message_or_refused(text: str) -> None:
    assert refusal_or_none(text) in {None, *CODES}


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["offer", "resume", "ice-candidate", "bye", "other"])},
        optional={
            "resumeToken": json_values,
            "lastSeq": json_values,
            "sdp": json_values,
            "agentId": json_values,
            "candidate": json_values,
        },
    )
)
def test_any_json_is_a_message_or_refused(content: dict[str, object]) -> None:
    assert refusal_or_none(json.dumps(content)) in {None, "bad_message", "bad_json"}


def refusal_or_none(text: str) -> str | None:
    try:
        parse_client_message(text, LIMITS)
    except PeerError as error:
        return error.code
    return None
