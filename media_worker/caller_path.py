"""A caller's addresses: those that ICE has validated, and the selected one, which we send to."""

from collections.abc import Callable

from prometheus_client import Counter

from media_worker.core.ice_lite import Credentials, IceLiteAgent
from media_worker.core.path_selection import Path, Source
from media_worker.core.stun import BindingRequest
from media_worker.udp_port import Owner, UdpPort

_HEARD_LATELY_S = 15.0
"""Callers send checks every 5 s or less (RFC 7675 §5.1): one that missed three has gone."""

_refused = Counter(
    "antiphon_media_checks_refused_total",
    "STUN checks with a wrong signature, copies, those from another caller's address, too short or too many",
)


class CallerPath:
    """Connects one session's ICE agent to the shared UDP port. `owner` is the session."""

    def __init__(self, port: UdpPort, owner: Owner, new_credentials: Callable[[], Credentials]) -> None:
        self._port = port
        self._owner = owner
        self._new_credentials = new_credentials
        self._agent = IceLiteAgent(new_credentials())
        self._paths = self._agent.paths
        self._send: Callable[[bytes], None] = discard
        self.last_heard_s = 0.0

    def open(self) -> None:
        """Start accepting checks."""
        self._port.expect(self._agent.credentials.ufrag, self._owner)

    def close(self) -> None:
        for ufrag in self._agent.ufrags:
            self._port.forget(ufrag)
        self._port.disown_all(self._owner)

    @property
    def credentials(self) -> Credentials:
        """The credentials for the next answer."""
        return self._agent.offered_credentials

    def restart(self) -> None:
        """An ICE restart: new credentials. The old path stays in use until the caller selects another."""
        credentials = self._new_credentials()
        for outdated in self._agent.restart(credentials):
            self._port.forget(outdated)
        self._port.expect(credentials.ufrag, self._owner)

    def on_check(self, request: BindingRequest, path: Path, now: float) -> Path | None:
        """Answer a check. Returns the path if the check selected another one."""
        other = self._port.owner(path)
        if other is not None and other is not self._owner and other.was_heard_at(path, now):
            _refused.inc()  # a forged address would cut off the caller who really has it
            return None
        answered = self._agent.on_request(request, path, now)
        if answered is None:
            _refused.inc()
            return None
        reply = self._port.sender(path)
        reply(answered.response)
        self.last_heard_s = now
        if self._agent.checked_s(path) is not None:
            self._port.own(path, self._owner)
        if answered.forgotten is not None:
            self._port.disown(answered.forgotten, self._owner)
        if answered.selected is not None:
            self._send = reply
        return answered.selected

    def on_authentic(self, source: Source, now: float) -> Path | None:
        """A packet of the caller that was decrypted. Returns the path if that selected another one."""
        self.last_heard_s = now
        paths = self._paths
        if source == paths.proven:
            paths.proven_at_s = now
            return None
        if not paths.on_authentic(source, now):
            return None
        selected = paths.selected
        assert selected is not None
        self._send = self._port.sender(selected)
        return selected

    def was_heard_at(self, path: Path, now: float) -> bool:
        """Whether a check of this caller came from there lately, selected or not."""
        checked_s = self._agent.checked_s(path)
        return checked_s is not None and now - checked_s < _HEARD_LATELY_S

    def send(self, datagram: bytes) -> None:
        """Send to the selected address. Dropped while there is none."""
        self._send(datagram)

    def queue(self) -> Callable[[bytes], None]:
        """A function that sends to the currently selected address, together with the slot's other packets."""
        selected = self._paths.selected
        return discard if selected is None else self._port.queue(selected)


def discard(_: bytes) -> None:
    """Drops a datagram."""
