"""Which of the caller's valid addresses the agent's packets go to.

A check proves that its sender knows the session's password, not that they have the caller's keys: someone who learned
the password could name any address. So a new path is used at once, for calls whose address has really changed, but it
must show an authentic SRTP or SRTCP packet within a second. If it shows none and the path before it goes on showing
some, the caller has not moved: the old path is restored. From then on a path must show such a packet before it is used.

Callers prove themselves soon: they send audio 50 times a second, or every 400 ms in silence (DTX), and RTCP every five
seconds even on hold. A rebound NAT leaves an old path that shows nothing more, so the new one stays, silent or not.

Some clients nominate once and never again, aiortc among them. They have moved if such a packet comes over another valid
path and the selected one has shown none for a second.
"""

from typing import Any, NamedTuple

from media_worker.core.stun import Address

_PROOF_S = 1.0
_QUIET_S = 1.0

Source = tuple[int, tuple[Any, ...]]
"""A `Path` as a plain tuple, which costs less to make for each packet. They compare equal."""


class Path(NamedTuple):
    """One of our sockets, and the caller's address as that socket reports it."""

    socket_index: int
    address: tuple[Any, ...]

    @property
    def source(self) -> Address:
        return self.address[0], self.address[1]


class PathSelection:
    """`now` is in seconds of any monotonic clock."""

    def __init__(self) -> None:
        self.selected: Path | None = None
        self.proven: Path | None = None
        """The selected path once it has shown an authentic packet."""
        self.proven_at_s = 0.0
        """When its last authentic packet came. Whoever takes packets sets this, rather than ask for each packet."""
        self.fallback: Path | None = None
        """The path to restore if the selected one proves nothing."""
        self._proof_due_s = 0.0
        self._is_wary = False
        self._awaited: Path | None = None

    def nominate(self, path: Path, now: float, selected_is_stale: bool) -> bool:
        """The caller wants to use `path`. True if it is selected."""
        if self._is_wary and self.proven is not None and not selected_is_stale:
            self._awaited = path
            return False
        if self.proven is not None:  # else the path before that is still on trial, and its time goes on
            self.fallback, self._proof_due_s = self.proven, now + _PROOF_S
        self.selected, self.proven = path, None
        return True

    def on_authentic(self, source: Source, now: float) -> bool:
        """A packet came over a valid path that only the caller can have made. True if another path is selected now."""
        before = self.selected
        if source == self.fallback and source != before and now >= self._proof_due_s:
            self.selected, self._is_wary = self.fallback, True
        elif source == self._awaited:
            self.selected = self._awaited
        elif source != before:
            if self.proven is None or now - self.proven_at_s < _QUIET_S:
                return False
            self.selected = Path(*source)
        self.proven, self.fallback, self._awaited = self.selected, None, None
        self.proven_at_s = now
        return self.selected != before
