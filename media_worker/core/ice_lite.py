"""One session's ICE-lite agent (RFC 8445 §2.5, RFC 8839): it answers checks and never sends one.

Theory of operation: an address becomes valid once it has sent a binding request signed with this session's password.
Nothing is ever sent to an address that a client only names, so an offer cannot make us probe other hosts. The client,
which is controlling, selects one of the valid addresses by USE-CANDIDATE. A later selection takes effect at once (NAT
rebinding, Wi-Fi to mobile), but must prove itself: see `path_selection`.

No answer is longer than its request, so forged requests gain an attacker nothing. A lawful check has the attributes
PRIORITY, FINGERPRINT and a role (RFC 8445 §7.1), and is longer than its answer even over IPv6.

An ICE restart adds new credentials. The old ones stay valid until the client selects an address under the new ones:
before our answer arrives, Chromium checks its new addresses under the old ones, and it may keep such a pair.

The signature of a check does not cover its source address, so an attacker on the path can replay it from elsewhere.
Copies are refused, except one that overtakes its original or is older than what we remember (a full agent would check
back). Such a copy gets the agent's audio, encrypted, for a second or so.
"""

from typing import NamedTuple

from media_worker.core.path_selection import Path, PathSelection
from media_worker.core.stun import BindingRequest, has_integrity, role_conflict_response, success_response
from shared.rate_limiter import RateLimiter

_MAX_ADDRESSES = 16
_CHECKS_REMEMBERED = 256
"""Ten minutes of a client that checks every 2.5 s."""
_SELECTED_STALE_S = 5.0
"""Checks come every 2.5 s. An address that missed two is replaced by a live one, even if that is not nominated."""

_CHECKS_PER_S, _CHECKS_AT_ONCE = 100, 200
"""At set-up Chromium checks every 48 ms, Firefox every 20 ms; later each checks some pairs every few seconds."""


class Credentials(NamedTuple):
    """RFC 8445 §5.3: at least 24 bits of randomness in the fragment and 128 in the password."""

    ufrag: str
    password: str


class Answered(NamedTuple):
    """The outcome of an accepted check."""

    response: bytes
    selected: Path | None = None
    """The new address to send to, if it changed."""
    forgotten: Path | None = None
    """An address that is no longer valid, because there were too many."""


class IceLiteAgent:
    """Decides on checks. `now` is in seconds of any monotonic clock."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.paths = PathSelection()
        self._pending: Credentials | None = None
        self.ufrags = [credentials.ufrag]
        """Fragments under which checks are valid."""
        self._validated: dict[Path, float] = {}
        self._checks: dict[bytes, Path] = {}
        self._rate = RateLimiter(_CHECKS_PER_S, _CHECKS_AT_ONCE)

    def restart(self, credentials: Credentials) -> list[str]:
        """RFC 8839 §4.4.3: an offer with new credentials of the client is answered with new ones of ours.

        Returns the fragments that are no longer valid.
        """
        self._pending = credentials
        outdated = [ufrag for ufrag in self.ufrags if ufrag != self.credentials.ufrag]
        self.ufrags = [self.credentials.ufrag, credentials.ufrag]
        return outdated

    @property
    def offered_credentials(self) -> Credentials:
        """The credentials for the next answer."""
        return self._pending or self.credentials

    def checked_s(self, path: Path) -> float | None:
        """When the last valid check came over this path; None if there is none."""
        return self._validated.get(path)

    def on_request(self, request: BindingRequest, path: Path, now: float) -> Answered | None:
        """Handle a check. None if it gets no answer: a wrong signature, a copy, too short or too many."""
        credentials = self._credentials_for(request)
        if credentials is None or not has_integrity(request, credentials.password) or self._is_copy(request, path):
            return None
        if request.sender_is_controlled:
            response = role_conflict_response(request, credentials.password)
        else:
            response = success_response(request, path.source, credentials.password)
        if len(response) > request.size:
            return None
        if path in self._validated:
            self._validated[path] = now  # also if there are too many, so that a flood makes no path stale
        if not self._rate.admits(now):
            return None
        if request.sender_is_controlled:
            return Answered(response)
        if credentials is self._pending and request.use_candidate:
            self.credentials, self._pending = credentials, None
        self._validated.pop(path, None)
        self._validated[path] = now
        selected = path if self._select(request, path, now) else None
        return Answered(response, selected, self._forget_one())

    def _credentials_for(self, request: BindingRequest) -> Credentials | None:
        for credentials in (self.credentials, self._pending):
            if credentials is not None and credentials.ufrag == request.local_ufrag:
                return credentials
        return None

    def _is_copy(self, request: BindingRequest, path: Path) -> bool:
        """A transaction has one client address (RFC 8489 §5): one from another address is a copy."""
        first_path = self._checks.setdefault(request.transaction_id, path)
        if len(self._checks) > _CHECKS_REMEMBERED:
            del self._checks[next(iter(self._checks))]
        return first_path != path

    def _forget_one(self) -> Path | None:
        """Drops the address that has been silent for longest if there are too many; never one that is in use."""
        if len(self._validated) <= _MAX_ADDRESSES:
            return None
        in_use = self.paths.selected, self.paths.fallback
        oldest = next(path for path in self._validated if path not in in_use)
        del self._validated[oldest]
        return oldest

    def _select(self, request: BindingRequest, path: Path, now: float) -> bool:
        """True if the check selected another path."""
        selected = self.paths.selected
        if path == selected:
            return False
        is_stale = selected is None or now - self._validated[selected] > _SELECTED_STALE_S
        return (is_stale or request.use_candidate) and self.paths.nominate(path, now, is_stale)
