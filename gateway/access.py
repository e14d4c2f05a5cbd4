"""Who may call. Programs with an API key make session tokens; a caller's first offer brings one.

A token opens one session. The connection that presents it claims it on the broker, for all gateways, and gives it back
if no session comes of it.
"""

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import to_json

from gateway.core.api_keys import ApiKey, Scope, find_key
from gateway.core.origins import is_local_request
from gateway.core.tokens import CLOCK_SKEW_S, LONGEST_SESSION_S, OPEN, Grant, KeyRing, read, sign
from gateway.secret_files import SecretFile, read_api_keys, read_token_keys
from gateway.settings import GatewaySettings, is_loopback
from gateway.token_store import TokenStore
from shared.errors import BrokerError, ConfigError, PeerError, RefusedError
from shared.io.logs import get_logger

_MAX_METADATA_BYTES = 512
_DEFAULT_TTL_S = 300
_UNKNOWN_KEY = "the API key is not known"
_AgentId = Annotated[str, Field(max_length=64)]

log = get_logger()


class TokenRequest(BaseModel):
    """The body of `POST /api/tokens`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    agent_id: _AgentId | None = Field(None, alias="agentId")
    agents: Annotated[list[_AgentId], Field(min_length=1, max_length=20)] | Literal["all"] | None = None
    ttl_s: int = Field(_DEFAULT_TTL_S, alias="ttlS", ge=10)
    max_duration_s: int = Field(LONGEST_SESSION_S, alias="maxDurationS", ge=10, le=LONGEST_SESSION_S)
    metadata: dict[str, str] = {}

    @model_validator(mode="after")
    def _names_agents_once(self) -> Self:
        if (self.agent_id is None) == (self.agents is None):
            raise ValueError('name either one "agentId" or "agents": a list, or "all"')
        return self

    @field_validator("metadata")
    @classmethod
    def _is_small(cls, metadata: dict[str, str]) -> dict[str, str]:
        if len(to_json(metadata)) > _MAX_METADATA_BYTES:
            raise ValueError(f"at most {_MAX_METADATA_BYTES} bytes of JSON")
        return metadata

    @property
    def granted(self) -> frozenset[str] | None:
        if self.agent_id is not None:
            return frozenset({self.agent_id})
        return None if self.agents in (None, "all") else frozenset(self.agents)


class Access:
    """Raises `ConfigError` if a file cannot be read, or if nobody could ever call."""

    def __init__(
        self,
        settings: GatewaySettings,
        agents: Collection[str],
        store: TokenStore,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.required = settings.token_required
        self._agents = agents
        self._store = store
        self._now_s = now_s
        self._max_ttl_s = settings.gateway_token_max_ttl_s
        api_keys, token_keys = settings.gateway_api_keys_file, settings.gateway_token_keys_file
        if self.required and not api_keys and not token_keys:
            raise ConfigError(
                f"callers of {settings.gateway_host} need a token, and there is no way to get one:\n"
                "let in everybody who can reach it: make up OPEN=1, antiphon up --open, ANTIPHON_GATEWAY_ACCESS=open\n"
                "or give out tokens: set ANTIPHON_GATEWAY_API_KEYS_FILE, see docs/access.md"
            )
        self._api_keys = SecretFile(api_keys, read_api_keys) if api_keys else None
        self._token_keys = SecretFile(token_keys, read_token_keys) if token_keys else None
        self._is_local = not self.required and is_loopback(settings.gateway_host)
        if not self.required and not self._is_local:
            log.warning("access_open", host=settings.gateway_host, meaning="everybody who can reach it may call")

    # Callers

    async def check(self, token: str | None) -> Grant:
        """What the caller may do. Raises `BrokerError`, or `PeerError` with code `token_required`, `token_invalid` or
        `token_expired`."""
        if not self.required:
            return OPEN
        if not token:
            raise PeerError("a token is required: the page or app that starts the call gets one", code="token_required")
        grant = read(token, await self._signing_keys(), self._now_s())
        if grant.api_key and self._api_keys is not None and grant.api_key not in self._api_keys.read():
            raise PeerError("the API key that made the token is not known any more", code="token_invalid")
        return grant

    async def admit(self, token: str | None, agent_id: str, connection: str) -> Grant:
        """Check an offer, and claim its token for this connection.

        Raises as `check` does, and `PeerError` with code `agent_not_granted` or `token_used`.
        """
        grant = await self.check(token)
        if not grant.allows(agent_id):
            raise PeerError(f"the token is not for the agent '{agent_id}'", code="agent_not_granted")
        if grant.token_id:
            left_s = grant.expires_at_s + CLOCK_SKEW_S - int(self._now_s())
            if not await self._store.claim(grant.token_id, connection, left_s):
                raise PeerError("the token has been used: ask for a new one", code="token_used")
        return grant

    async def give_back(self, grant: Grant) -> None:
        """No session came of it. If the broker is away, the token stays used until it expires."""
        if not grant.token_id:
            return
        try:
            await self._store.give_back(grant.token_id)
        except BrokerError as error:
            log.warning("token_left_used", token_id=grant.token_id, error=error.message)

    def sessions_at_once(self, grant: Grant) -> int | None:
        """How many sessions callers with tokens of this API key may have; 0: no limit, None: the key is not known."""
        api_key = self._known_keys().get(grant.api_key)
        return None if api_key is None else api_key.sessions_at_once

    # Programs of the operator

    def require_admin(self, api_key: str | None, client: str, headers: Mapping[str, str]) -> str:
        """Who administers: the name of the API key, or `local` in open mode on loopback, where none is needed.

        `headers` have lower-case names. Raises `PeerError` as `require_scope` does.
        """
        if not api_key and self._is_local and is_local_request(client, headers):
            return "local"
        return self.require_scope("admin", api_key)

    def require_scope(self, scope: Scope, api_key: str | None) -> str:
        """The name of the API key. Raises `PeerError` with code `api_key_required`, `api_key_invalid` or
        `scope_missing`."""
        if not api_key:
            raise PeerError('an API key is required: "Authorization: Bearer KEY"', code="api_key_required")
        api_keys = self._known_keys()
        name = find_key(api_keys, api_key)
        if name is None:
            raise PeerError(_UNKNOWN_KEY, code="api_key_invalid")
        if scope not in api_keys[name].scopes:
            raise PeerError(f"the API key '{name}' lacks the scope '{scope}'", code="scope_missing")
        return name

    async def make_token(self, name: str, request: TokenRequest) -> str:
        """A token for one session.

        Raises `BrokerError`, `RefusedError` (`too_many_tokens`), or `PeerError` with code `bad_request`,
        `unknown_agent`, or `api_key_invalid` if the key was deleted while the request came in.
        """
        api_key = self._known_keys().get(name)
        if api_key is None:
            raise PeerError(_UNKNOWN_KEY, code="api_key_invalid")
        if request.ttl_s > self._max_ttl_s:
            raise PeerError(f"ttlS: at most {self._max_ttl_s}")
        unknown = (request.granted or frozenset()).difference(self._agents)
        if unknown:
            raise PeerError(f"no agent '{min(unknown)}'", code="unknown_agent")
        now_s = self._now_s()
        if await self._store.count_made(name, now_s) > api_key.tokens_per_minute:
            message = f"the API key '{name}' may make {api_key.tokens_per_minute} tokens a minute"
            raise RefusedError(message, code="too_many_tokens", retry_after_ms=round((60 - now_s % 60) * 1000))
        grant = Grant(
            agents=request.granted,
            max_duration_s=request.max_duration_s,
            token_id=secrets.token_urlsafe(16),
            expires_at_s=int(now_s) + request.ttl_s,
            api_key=name,
            metadata=request.metadata,
        )
        token = sign(grant, await self._signing_keys(), int(now_s))
        log.info("token_made", api_key=name, token_id=grant.token_id, agents=sorted(grant.agents or ["all"]))
        return token

    def _known_keys(self) -> Mapping[str, ApiKey]:
        return self._api_keys.read() if self._api_keys else {}

    async def _signing_keys(self) -> KeyRing:
        return self._token_keys.read() if self._token_keys else await self._store.shared_keys()
