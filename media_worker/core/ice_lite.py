"""One session's ICE-lite agent (RFC 8445 §2.5, RFC 8839): it answers checks and never sends one.

Theory of operation: an address exists for us only after it has sent a binding request signed with this session's
password. Nothing is ever sent to an address that a client merely named, so an offer cannot make us probe anybody.
Of the validated addresses the client, which is controlling, selects one by USE-CANDIDATE; a later selection is
followed at once (NAT rebinding, Wi-Fi to mobile). An ICE restart adds new credentials; the old ones stay good until
a check with the new ones arrives.
"""

from typing import NamedTuple

from media_worker.core.stun import (
    Address,
    BindingRequest,
    has_integrity,
    role_conflict_response,
    success_response,
)

_MAX_ADDRESSES = 16
_SELECTED_STALE_S = 5.0
"""Checks come every 2.5 s; an address that missed two gives way to one that is alive even if not nominated."""


class Credentials(NamedTuple):
    """RFC 8445 §5.3: at least 24 bits of randomness in the fragment and 128 in the password."""

    ufrag: str
    password: str


class Answered(NamedTuple):
    """What a check led to. `selected` is the new address to send to, if it changed."""

    response: bytes
    selected: Address | None


class IceLiteAgent:
    """Decides on checks. `now` is in seconds of any monotonic clock."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.selected: Address | None = None
        self.last_check_s: float | None = None
        self._pending: Credentials | None = None
        self._validated: dict[Address, float] = {}

    def restart(self, credentials: Credentials) -> None:
        """RFC 8839 §4.4.3: a new offer with new credentials of the client gets new ones of ours."""
        self._pending = credentials

    def is_validated(self, address: Address) -> bool:
        return address in self._validated

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(self._validated)

    def on_request(self, request: BindingRequest, source: Address, now: float) -> Answered | None:
        """Judge a check. None: it is not signed with our password, and nothing changed."""
        credentials = self._credentials_for(request)
        if credentials is None or not has_integrity(request, credentials.password):
            return None
        if request.sender_is_controlled:
            return Answered(role_conflict_response(request, credentials.password), None)
        if credentials is self._pending:
            self.credentials, self._pending = credentials, None
        self.last_check_s = now
        self._remember(source, now)
        selected = source if self._should_select(request, source, now) else None
        if selected is not None:
            self.selected = selected
        return Answered(success_response(request, source, credentials.password), selected)

    def _credentials_for(self, request: BindingRequest) -> Credentials | None:
        for credentials in (self.credentials, self._pending):
            if credentials is not None and credentials.ufrag == request.local_ufrag:
                return credentials
        return None

    def _remember(self, source: Address, now: float) -> None:
        self._validated.pop(source, None)
        self._validated[source] = now
        if len(self._validated) > _MAX_ADDRESSES:
            oldest = next(address for address in self._validated if address != self.selected)
            del self._validated[oldest]

    def _should_select(self, request: BindingRequest, source: Address, now: float) -> bool:
        if source == self.selected:
            return False
        if self.selected is None or request.use_candidate:
            return True
        return now - self._validated[self.selected] > _SELECTED_STALE_S
