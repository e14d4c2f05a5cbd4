"""What one signaling connection may open: the grant of its token, and the session that is counted against limits.

Both are given back if no session comes of it.
"""

from collections.abc import Mapping

from gateway.access import Access
from gateway.core.signaling_events import Placed
from gateway.core.tokens import OPEN
from gateway.session_limits import SessionLimits
from shared import keys
from shared.agent import AgentDefinition
from shared.errors import BrokerError, RefusedError
from shared.io.logs import get_logger

log = get_logger()


class CallerGrant:
    def __init__(
        self,
        access: Access,
        at_once: SessionLimits,
        agents: Mapping[str, AgentDefinition],
        connection: str,
        retry_after_ms: int,
    ) -> None:
        self._access = access
        self._at_once = at_once
        self._agents = agents
        self._connection = connection
        self._retry_after_ms = retry_after_ms
        self._grant = OPEN
        self._unspent = OPEN
        self._counted = ""
        self._counted_in: tuple[str, ...] = ()

    async def admit(self, token: str | None, agent_id: str) -> None:
        """For a first offer. A token that another offer brought before is free again.

        Raises as `Access.admit` does.
        """
        grant = await self._access.admit(token, agent_id, self._connection)
        if grant.token_id != self._unspent.token_id:
            await self.give_back()
        self._grant = self._unspent = grant

    async def count(self, placed: Placed, agent_id: str) -> Placed:
        """The place of a new session, which lasts as long as the token allows and counts for API key and agent.

        Raises `RefusedError` with code `too_many_sessions`, or `BrokerError`.
        """
        grant, limits = self._grant, self._limits(agent_id)
        before, self._counted, self._counted_in = self._counted, placed.session, tuple(limits)
        try:
            await self._at_once.take(placed.session, limits, instead_of=before)
        except (RefusedError, BrokerError) as error:
            log.warning("session_not_counted", session_id=placed.session, code=error.code, reason=error.message)
            if isinstance(error, BrokerError):
                public = "the service cannot reach its broker"
                raise BrokerError(public, retry_after_ms=self._retry_after_ms) from error
            public = "there are as many sessions as the caller's API key or the agent may have at once"
            raise RefusedError(public, code=error.code, retry_after_ms=self._retry_after_ms) from error
        if grant.token_id:
            log.info(
                "session_admitted",
                session_id=placed.session,
                api_key=grant.api_key,
                token_id=grant.token_id,
                metadata=grant.metadata,
            )
        return placed._replace(max_duration_s=grant.max_duration_s, api_key=grant.api_key, counted_in=self._counted_in)

    def spend(self) -> None:
        """A session has come of it."""
        self._unspent, self._counted = OPEN, ""

    async def uncount(self, session: str) -> None:
        """The place was given back. A session that is established stays counted, wherever it moves."""
        if session != self._counted:
            return
        self._counted = ""
        try:
            await self._at_once.release(session, self._counted_in)
        except BrokerError as error:
            log.warning("session_left_counted", session_id=session, error=error.message)

    async def give_back(self) -> None:
        """The token is free again, if no session came of it."""
        unspent, self._unspent = self._unspent, OPEN
        await self._access.give_back(unspent)

    def _limits(self, agent_id: str) -> dict[str, int]:
        """By counter. Callers of an API key count even without a limit, because one may be set while they talk."""
        limits = {}
        at_once = self._access.sessions_at_once(self._grant)
        if at_once is not None:
            limits[keys.counter("key", self._grant.api_key)] = at_once
        if most := self._agents[agent_id].limits.max_sessions:
            limits[keys.counter("agent", agent_id)] = most
        return limits
