from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from gateway.access import Access, TokenRequest
from gateway.core.api_keys import new_api_key
from gateway.core.tokens import OPEN
from gateway.settings import GatewaySettings
from gateway.token_store import TokenStore
from shared import keys
from shared.errors import AntiphonError, BrokerError, ConfigError, PeerError
from shared.io.broker import Redis, connect

NOW_S = 1_800_000_030.0
AGENTS = ["echo", "desk"]


class Clock:
    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    (tmp_path / "api-keys").write_text(f"website: {'5e' * 32} calls tokens_per_minute=3\n")
    return GatewaySettings(gateway_access="token", gateway_api_keys_file=tmp_path / "api-keys")


@pytest.fixture
def access(settings: GatewaySettings, broker: Redis, clock: Clock) -> Access:
    return Access(settings, AGENTS, TokenStore(broker), clock)


async def made(access: Access, **request: object) -> str:
    return await access.make_token("website", TokenRequest.model_validate({"agents": "all"} | request))


async def refusal(access: Access, token: str | None, agent: str = "echo", connection: str = "c1") -> str:
    with pytest.raises(AntiphonError) as refused:
        await access.admit(token, agent, connection)
    assert not token or token not in refused.value.message
    return refused.value.code


async def test_a_token_admits_one_session(access: Access) -> None:
    token = await made(access, agents=["echo"], maxDurationS=60, metadata={"order": "42"})
    grant = await access.admit(token, "echo", "c1")
    assert (grant.max_duration_s, grant.api_key, grant.metadata) == (60, "website", {"order": "42"})
    assert await refusal(access, token, connection="c2") == "token_used"
    assert await access.admit(token, "echo", "c1") == grant, "the connection that has it may try again"
    await access.give_back(grant)
    assert await access.admit(token, "echo", "c2") == grant


async def test_what_is_wrong_with_a_token_is_told(access: Access, clock: Clock) -> None:
    token = await made(access, agents=["echo"], ttlS=60)
    assert await refusal(access, None) == "token_required"
    assert await refusal(access, "") == "token_required"
    assert await refusal(access, token[:-1]) == "token_invalid"
    assert await refusal(access, token, "desk") == "agent_not_granted"
    clock.now_s += 66
    assert await refusal(access, token) == "token_expired"


async def test_a_refused_offer_uses_no_token(access: Access) -> None:
    token = await made(access, agents=["echo"])
    await refusal(access, token, "desk")
    await access.admit(token, "echo", "c2")


async def test_a_used_token_is_remembered_until_it_has_expired(access: Access, broker: Redis) -> None:
    grant = await access.admit(await made(access, ttlS=60), "echo", "c1")
    assert 60 < await broker.ttl(keys.token(grant.token_id)) <= 65


async def test_gateways_share_their_tokens(access: Access, settings: GatewaySettings, broker: Redis) -> None:
    other = Access(settings, AGENTS, TokenStore(broker), Clock())
    token = await made(access)
    await other.admit(token, "echo", "c1")
    assert await refusal(access, token, connection="c2") == "token_used"


async def test_signing_keys_are_rotated_without_a_restart(
    settings: GatewaySettings, broker: Redis, tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "token-keys"
    file.write_text(f"old: {'o' * 32}\n")
    access = Access(settings.model_copy(update={"gateway_token_keys_file": file}), AGENTS, TokenStore(broker), clock)
    token = await made(access)
    file.write_text(f"new: {'n' * 32}\nold: {'o' * 32}\n")
    await access.check(token)
    later = await made(access)
    file.write_text(f"new: {'n' * 32}\n")
    await access.check(later)
    assert await refusal(access, token) == "token_invalid"


async def test_an_api_key_makes_a_bounded_number_of_tokens_a_minute_over_all_gateways(
    access: Access, settings: GatewaySettings, broker: Redis, clock: Clock
) -> None:
    other = Access(settings, AGENTS, TokenStore(broker), clock)
    for gateway in (access, other, access):
        await made(gateway)
    with pytest.raises(AntiphonError) as refused:
        await made(access)
    assert (refused.value.code, refused.value.retry_after_ms) == ("too_many_tokens", 30_000)
    clock.now_s += 30
    await made(access)


async def test_tokens_of_a_deleted_api_key_were_still_good(access: Access, settings: GatewaySettings) -> None:
    token = await made(access)
    assert settings.gateway_api_keys_file is not None
    settings.gateway_api_keys_file.write_text(f"console: {'77' * 32} admin\n")
    assert await refusal(access, token) == "token_invalid"
    with pytest.raises(PeerError) as refused:
        await made(access)
    assert refused.value.code == "api_key_invalid"


async def test_a_token_is_for_agents_that_exist_and_for_a_bounded_time(access: Access) -> None:
    with pytest.raises(PeerError, match="no agent 'ecco'") as refused:
        await made(access, agents=["echo", "ecco"])
    assert refused.value.code == "unknown_agent"
    with pytest.raises(PeerError, match="ttlS: at most 3600"):
        await made(access, ttlS=3601)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"agents": []},
        {"agents": "every"},
        {"agents": "all", "agentId": "echo"},
        {"agents": ["a"] * 21},
        {"agentId": "echo", "ttlS": 5},
        {"agentId": "echo", "ttlS": "60"},
        {"agentId": "echo", "maxDurationS": 5},
        {"agentId": "echo", "maxDurationS": 90_000},
        {"agentId": "echo", "metadata": {"a": 1}},
        {"agentId": "echo", "metadata": {"a": "b" * 600}},
        {"agentId": "echo", "max_duration_s": 60},
    ],
)
def test_a_bad_request(request_: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TokenRequest.model_validate(request_)


async def test_the_largest_token_that_can_be_made_can_be_used(access: Access, settings: GatewaySettings) -> None:
    agents = [f"{number:064}" for number in range(20)]
    roomy = Access(settings, agents, access._store)
    token = await made(roomy, agents=agents, maxDurationS=86_400, metadata={"m": '"' * 252})
    await roomy.admit(token, agents[0], "c1")


@pytest.mark.parametrize(
    ("host", "mode", "required"),
    [
        ("127.0.0.1", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("192.0.2.1", "auto", True),
        ("gateway.example", "auto", True),
        ("0.0.0.0", "open", False),
        ("127.0.0.1", "token", True),
    ],
)
async def test_who_needs_a_token(settings: GatewaySettings, host: str, mode: str, required: bool) -> None:
    chosen = settings.model_copy(update={"gateway_host": host, "gateway_access": mode})
    client = connect("redis://127.0.0.1:1/0")
    access = Access(chosen, AGENTS, TokenStore(client))
    if required:
        assert await refusal(access, None) == "token_required"
    else:
        assert await access.admit("anything", "echo", "c1") == OPEN
    await client.aclose()


def warnings_of(settings: GatewaySettings, broker: Redis) -> list[str]:
    with capture_logs() as logs:
        Access(settings, AGENTS, TokenStore(broker))
    return [line["event"] for line in logs if line["log_level"] == "warning"]


async def test_open_access_is_said_loudly(broker: Redis) -> None:
    settings = GatewaySettings(gateway_host="0.0.0.0", gateway_access="open")
    assert warnings_of(settings, broker) == ["access_open"]
    assert warnings_of(GatewaySettings(), broker) == []


async def test_a_gateway_that_nobody_could_call_says_what_to_do(broker: Redis) -> None:
    with pytest.raises(ConfigError, match=r"(?s)no way to get one.*OPEN=1.*--open.*API_KEYS_FILE"):
        Access(GatewaySettings(gateway_host="0.0.0.0"), AGENTS, TokenStore(broker))


async def test_without_the_broker_no_token_is_accepted(settings: GatewaySettings, tmp_path: Path) -> None:
    (tmp_path / "token-keys").write_text(f"a: {'a' * 32}\n")
    client = connect("redis://127.0.0.1:1/0")
    store = TokenStore(client)
    access = Access(settings, AGENTS, store)
    with pytest.raises(BrokerError):
        await access.check("a.b.c")
    with pytest.raises(BrokerError):
        await made(access)
    await access.give_back(OPEN._replace(token_id="abcdefghijklmnop"))
    await client.aclose()


def test_scopes_are_apart(settings: GatewaySettings, broker: Redis, tmp_path: Path) -> None:
    assert settings.gateway_api_keys_file is not None
    made_keys = {name: new_api_key(name, name) for name in ("calls", "admin")}
    settings.gateway_api_keys_file.write_text("\n".join(line for _, line in made_keys.values()))
    access = Access(settings, AGENTS, TokenStore(broker))
    for scope, (key, _) in made_keys.items():
        for wanted in ("calls", "admin"):
            if scope == wanted:
                assert access.require_scope(wanted, key) == scope
                continue
            with pytest.raises(PeerError) as refused:
                access.require_scope(wanted, key)
            assert refused.value.code == "scope_missing"
    for presented, code in ((None, "api_key_required"), ("", "api_key_required"), ("guess", "api_key_invalid")):
        with pytest.raises(PeerError) as refused:
            access.require_scope("calls", presented)
        assert refused.value.code == code


async def test_no_secret_is_logged(access: Access) -> None:
    with capture_logs() as logs:
        token = await made(access)
        await access.admit(token, "echo", "c1")
    assert [line["event"] for line in logs] == ["token_made"]
    assert token not in str(logs)
