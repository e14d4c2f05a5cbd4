import pytest

from pipeline_worker.engines.network.errors import broken, late, lost, reason_in, refusal, unreachable
from shared.errors import EngineError


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "engine_refused"),
        (401, "engine_key_refused"),
        (402, "engine_refused"),
        (403, "engine_key_refused"),
        (404, "engine_refused"),
        (429, "engine_busy"),
        (500, "engine_unavailable"),
        (599, "engine_unavailable"),
        (302, "engine_broken"),
    ],
)
def test_a_status_has_a_code(status: int, code: str) -> None:
    assert refusal("Acme", status).code == code


def test_a_vendors_message_is_shortened_and_hides_keys() -> None:
    error = refusal("Acme", 400, "no such\n voice", "invalid_voice")
    assert error.message == "Acme refuses the request (status 400, invalid_voice)", "what it said is not for the log"
    assert str(error) == "Acme refuses the request (status 400, invalid_voice): no such voice"
    assert len(str(refusal("Acme", 500, "x" * 10_000))) < 300
    assert "sk-1" not in str(refusal("Acme", 401, "the key sk-1234 is wrong"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (unreachable("Acme", TimeoutError()), "engine_unavailable"),
        (lost("Acme", ConnectionResetError("reset")), "engine_broken"),
        (late("Acme"), "engine_timeout"),
        (broken("Acme", "<html>"), "engine_broken"),
    ],
)
def test_other_failures_have_a_code(error: EngineError, code: str) -> None:
    assert error.code == code
    assert error.message.startswith("Acme ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            '{"error": {"type": "bad_request", "code": "too_long", "param": "messages[0]", "message": "hi Ann"}}',
            "bad_request, too_long, messages[0]",
        ),
        ('{"detail": {"status": "quota_exceeded", "message": "x"}}', "quota_exceeded"),
        ('{"error": {"code": "my words", "type": 3}}', ""),
        ('{"error": "my words"}', ""),
        ("<html>", ""),
        ("[" * 5_000, ""),
    ],
)
def test_the_codes_of_a_refusal_are_its_reason_and_its_words_are_not(body: str, reason: str) -> None:
    assert reason_in(body) == reason
