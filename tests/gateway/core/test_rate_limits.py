from collections import Counter

from gateway.core.rate_limits import MESSAGE_BURST, MESSAGES_PER_S, MessageRateLimiter, SessionRateLimiter

LARGEST = 65_536


def verdicts(limiter: MessageRateLimiter, per_s: float, messages: int, size_bytes: int = 100) -> Counter[str]:
    return Counter(limiter.judge(size_bytes, n / per_s) for n in range(messages))


def test_an_offer_and_its_candidates_pass_at_once() -> None:
    limiter = MessageRateLimiter(LARGEST)
    assert [limiter.judge(size, 0.0) for size in (32_768, *[300] * 20)] == ["admitted"] * 21


def test_a_client_that_is_too_fast_gets_one_error_and_keeps_the_rate() -> None:
    seen = verdicts(MessageRateLimiter(LARGEST), 1.5 * MESSAGES_PER_S, 900)
    assert seen["refused"] == 1
    assert seen["flood"] == 0
    assert abs(seen["admitted"] - (MESSAGE_BURST + 30 * MESSAGES_PER_S)) <= 2


def test_a_flood_of_messages() -> None:
    limiter = MessageRateLimiter(LARGEST)
    assert verdicts(limiter, 1e6, 2 * MESSAGE_BURST)["flood"] == 0
    assert limiter.judge(10, 0.001) == "flood"


def test_a_flood_of_bytes() -> None:
    seen = verdicts(MessageRateLimiter(LARGEST), 100, 30, size_bytes=LARGEST)
    assert seen == {"admitted": 8, "refused": 1, "dropped": 7, "flood": 14}


def test_new_sessions_of_an_address_have_a_rate() -> None:
    limiter = SessionRateLimiter(per_minute=6)
    assert [limiter.wait_ms("a", 0.0) for _ in range(6)] == [0] * 6
    wait_ms = limiter.wait_ms("a", 0.0)
    assert 10_000 <= wait_ms <= 10_001
    assert limiter.wait_ms("b", 0.0) == 0
    assert limiter.wait_ms("a", wait_ms / 1000) == 0


def test_no_limit_of_new_sessions() -> None:
    limiter = SessionRateLimiter(per_minute=0)
    assert {limiter.wait_ms("a", 0.0) for _ in range(1_000)} == {0}


def test_the_table_of_addresses_is_bounded() -> None:
    limiter = SessionRateLimiter(per_minute=1, max_addresses=2)
    assert limiter.wait_ms("a", 0.0) == limiter.wait_ms("b", 0.0) == 0
    assert limiter.wait_ms("a", 0.0) > 0
    assert limiter.wait_ms("c", 0.0) == 0  # forgets b
    assert limiter.wait_ms("a", 0.0) > 0
    assert limiter.wait_ms("b", 0.0) == 0
