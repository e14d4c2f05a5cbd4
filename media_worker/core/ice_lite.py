"""One session's ICE-lite agent (RFC 8445 §2.5, RFC 8839): it answers checks and never sends one.

Theory of operation: an address exists for us only after it has sent a binding request signed with this session's
password. Nothing is ever sent to an address that a client merely named, so an offer cannot make us probe anybody.
Of the validated addresses the client, which is controlling, selects one by USE-CANDIDATE; a later selection is
followed at once (NAT rebinding, Wi-Fi to mobile). An ICE restart adds new credentials; the old ones stay good until
the client selects an address under the new ones: before our answer reaches it, Chromium checks its new addresses
under the old ones, and it may stay with such a pair.

A signed check says nothing of the address it was sent from, so who copies one on its way may send it again from
elsewhere. A copy is refused; one that overtakes its original, or is older than what we remember, is not known for
one (a full agent would check back). It gains the sound of the agent encrypted, until the client's next selection.
"""

from typing import Any, NamedTuple

from media_worker.core.stun import (
    Address,
    BindingRequest,
    has_integrity,
    role_conflict_response,
    success_response,
)

_MAX_ADDRESSES = 16
_CHECKS_REMEMBERED = 256
"""Ten minutes of a client that checks every 2.5 s."""
_SELECTED_STALE_S = 5.0
"""Checks come every 2.5 s; an address that missed two gives way to one that is alive even if not nominated."""


class Path(NamedTuple):
    """A way to a caller: one of our sockets, and the caller's address as that socket names it."""

    socket_index: int
    address: tuple[Any, ...]

    @property
    def source(self) -> Address:
        return self.address[0], self.address[1]


class Credentials(NamedTuple):
    """RFC 8445 §5.3: at least 24 bits of randomness in the fragment and 128 in the password."""

    ufrag: str
    password: str


class Answered(NamedTuple):
    """What a check led to."""

    response: bytes
    selected: Path | None = None
    """The new address to send to, if it changed."""
    forgotten: Path | None = None
    """An address that gave way because there were too many: it counts as validated no more."""


class IceLiteAgent:
    """Decides on checks. `now` is in seconds of any monotonic clock."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.selected: Path | None = None
        self._pending: Credentials | None = None
        self._known_ufrags = [credentials.ufrag]
        self._validated: dict[Path, float] = {}
        self._checks: dict[bytes, Path] = {}

    def restart(self, credentials: Credentials) -> list[str]:
        """RFC 8839 §4.4.3: a new offer with new credentials of the client gets new ones of ours.

        Returns the fragments that no check can come under any more.
        """
        self._pending = credentials
        outdated = [ufrag for ufrag in self._known_ufrags if ufrag != self.credentials.ufrag]
        self._known_ufrags = [self.credentials.ufrag, credentials.ufrag]
        return outdated

    @property
    def offered_credentials(self) -> Credentials:
        """What an answer says now."""
        return self._pending or self.credentials

    @property
    def ufrags(self) -> list[str]:
        """Fragments that checks may come under."""
        return self._known_ufrags

    def is_validated(self, path: Path) -> bool:
        return path in self._validated

    def checked_s(self, path: Path) -> float | None:
        """When the last check came over this path; None if none counts."""
        return self._validated.get(path)

    def on_request(self, request: BindingRequest, path: Path, now: float) -> Answered | None:
        """Judge a check. None: it is not signed with our password or a copy of another, and nothing changed."""
        credentials = self._credentials_for(request)
        if credentials is None or not has_integrity(request, credentials.password) or self._is_copy(request, path):
            return None
        if request.sender_is_controlled:
            return Answered(role_conflict_response(request, credentials.password))
        if credentials is self._pending and request.use_candidate:
            self.credentials, self._pending = credentials, None
        self._validated.pop(path, None)
        self._validated[path] = now
        selected = path if self._should_select(request, path, now) else None
        if selected is not None:
            self.selected = selected
        return Answered(success_response(request, path.source, credentials.password), selected, self._forget_one())

    def _credentials_for(self, request: BindingRequest) -> Credentials | None:
        for credentials in (self.credentials, self._pending):
            if credentials is not None and credentials.ufrag == request.local_ufrag:
                return credentials
        return None

    def _is_copy(self, request: BindingRequest, path: Path) -> bool:
        """A transaction has one client address (RFC 8489 §5): seen from another, it was copied."""
        first_path = self._checks.setdefault(request.transaction_id, path)
        if len(self._checks) > _CHECKS_REMEMBERED:
            del self._checks[next(iter(self._checks))]
        return first_path != path

    def _forget_one(self) -> Path | None:
        """Of too many addresses the one that has been silent for longest, but never the selected one."""
        if len(self._validated) <= _MAX_ADDRESSES:
            return None
        oldest = next(path for path in self._validated if path != self.selected)
        del self._validated[oldest]
        return oldest

    def _should_select(self, request: BindingRequest, path: Path, now: float) -> bool:
        if path == self.selected:
            return False
        if self.selected is None or request.use_candidate:
            return True
        return now - self._validated[self.selected] > _SELECTED_STALE_S
