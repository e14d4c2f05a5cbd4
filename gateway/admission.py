"""Decides whether an offer gets a place: by the rates of its caller, the room of the workers and the limits at once."""

import asyncio

from gateway.caller_grant import CallerGrant
from gateway.core.client_address import address_block, is_loopback
from gateway.core.rate_limits import MOVES_PER_MINUTE, SessionRateLimiter
from gateway.core.signaling_events import Place, Placed, PlacementRefused
from gateway.placer import Placer
from gateway.settings import GatewaySettings
from shared.errors import BrokerError, RefusedError


class Admission:
    def __init__(self, placer: Placer, settings: GatewaySettings) -> None:
        self._placer = placer
        self._new_sessions = SessionRateLimiter(settings.gateway_max_sessions_per_minute)
        self._moves = SessionRateLimiter(MOVES_PER_MINUTE)
        self._timeout_s = settings.gateway_answer_timeout_s
        self._retry_after_ms = settings.gateway_retry_after_ms

    async def place(self, place: Place, address: str, grant: CallerGrant) -> Placed | PlacementRefused:
        """Reserve a place for a caller at `address`. Answers within the timeout."""
        if refusal := self._over_rate(place, address):
            return refusal
        try:
            async with asyncio.timeout(self._timeout_s):
                placed = await self._placer.place(place)
                return placed if place.session else await self._counted(placed, place.agent_id, grant)
        except (RefusedError, BrokerError) as error:
            return PlacementRefused(error.code, error.message, error.retry_after_ms)
        except TimeoutError:
            return PlacementRefused(BrokerError.code, "no place was found in time", self._retry_after_ms)

    def _over_rate(self, place: Place, address: str) -> PlacementRefused | None:
        now_s = asyncio.get_running_loop().time()
        if place.session and (wait_ms := self._moves.wait_ms(place.session, now_s)):
            return PlacementRefused("too_many_moves", "this session has moved too often", wait_ms)
        if place.session or place.avoid or is_loopback(address):  # `avoid`: another place for the same offer
            return None
        if wait_ms := self._new_sessions.wait_ms(address_block(address), now_s):
            return PlacementRefused("too_many_sessions", "too many new sessions from this address", wait_ms)
        return None

    async def _counted(self, placed: Placed, agent_id: str, grant: CallerGrant) -> Placed:
        """Raises as `CallerGrant.count` does; the place is free again then."""
        try:
            return await grant.count(placed, agent_id)
        except (RefusedError, BrokerError):
            await self._placer.release(placed.session, placed.media_worker)
            raise
