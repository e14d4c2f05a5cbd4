"""DTLS and SCTP by aiortc, over our own transport. All private names of aiortc that we use are here or in `sctp`.

aiortc does the handshake, the key extraction and the data channel. Audio does not pass through it: see `rtp_session`.
"""

import asyncio
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, NamedTuple, cast

from aiortc import RTCCertificate, RTCDataChannel, RTCDataChannelParameters, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities
from prometheus_client import Counter

from media_worker.core.rate_limiter import ControlRateLimiter
from media_worker.core.sdp_offer import SUPPORTED_HASHES
from media_worker.pacer import Pacer
from media_worker.sctp import BoundedSctp, send_what_is_dropped
from media_worker.srtp import SrtpCodec, SrtpPair
from shared.errors import AntiphonError, ConfigError
from shared.io.logs import get_logger

_DTLS_QUEUE = 64
_RECORD_HEADER = 13  # RFC 6347 §4.1
_RECORD_TYPES = range(20, 26)
_LONGEST_RECORD = 1_500  # aiortc reads no more of one
_MAX_BUFFERED_BYTES = 256 * 1024
_CHANNEL_LABEL = "control"

_messages_dropped = Counter(
    "antiphon_media_messages_dropped_total", "Messages that could not be sent on a data channel", ["why"]
)

_over_rate = Counter(
    "antiphon_media_control_over_rate_total", "Messages on data channels that came too fast to be read"
)

log = get_logger()


class PeerFailed(AntiphonError):
    """The secure transport could not be set up (wrong fingerprint, no common cipher, protocol error)."""

    code = "dtls_failed"


class Certificate(RTCCertificate):
    """One certificate and one TLS context for the whole process. Creating them is a third of a handshake's cost."""

    _context: Any = None

    def _create_ssl_context(self, srtp_profiles: Any) -> Any:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
        return self._context

    @property
    def sha256_fingerprint(self) -> str:
        """Algorithm and digest, as in SDP."""
        return next(f"{f.algorithm} {f.value}" for f in self.getFingerprints() if f.algorithm == "sha-256")

    @classmethod
    def generate(cls) -> "Certificate":
        certificate: Certificate = cls.generateCertificate()
        return certificate


class _DatagramLink:
    """Replaces aiortc's ICE transport. Gets only DTLS from validated addresses."""

    role = "controlled"
    state = "completed"

    def __init__(self, send: Callable[[bytes], None], pacer: Pacer) -> None:
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue(_DTLS_QUEUE)
        self._sender = send
        self.pacer: Pacer | None = pacer
        """None once the handshake is done."""

    def put(self, datagram: bytes) -> None:
        for record in _records(datagram):
            if self._incoming.full():
                return  # DTLS and SCTP retransmit
            self._incoming.put_nowait(record)

    def close(self) -> None:
        while self._incoming.full():
            self._incoming.get_nowait()
        self._incoming.put_nowait(None)

    async def _recv(self) -> bytes:
        datagram = await self._incoming.get()
        if datagram is None:
            self._incoming.put_nowait(None)
            raise ConnectionError("closed")
        # Other callers run between two records. Steps of a handshake are longer, so few run at a time.
        await (asyncio.sleep(0) if self.pacer is None else self.pacer.turn())
        return datagram

    async def _send(self, data: bytes) -> None:
        self._sender(data)


def _records(datagram: bytes) -> Iterator[bytes]:
    """The DTLS records one by one. From a datagram with several, aiortc would read only 1,500 bytes of the first that
    has data, and OpenSSL would keep the rest in memory."""
    at = 0
    while at + _RECORD_HEADER <= len(datagram) and datagram[at] in _RECORD_TYPES:
        length = int.from_bytes(datagram[at + _RECORD_HEADER - 2 : at + _RECORD_HEADER])
        end = at + _RECORD_HEADER + length
        if length > _LONGEST_RECORD or end > len(datagram):
            return
        yield datagram[at:end]
        at = end


def _ignore(*_: object) -> None: ...


class PeerCallbacks(NamedTuple):
    """What a `Peer` tells its owner."""

    on_open: Callable[[], None] = _ignore
    """The data channel is open."""
    on_text: Callable[[str], None] = _ignore
    """A message on the data channel."""
    on_too_fast: Callable[[], None] = _ignore
    """Messages were dropped because of their rate; at most once a second."""
    on_closed: Callable[[str], None] = _ignore
    """The caller ended the connection, and why: `hangup`, or how they misused the data channel."""


class Peer:
    """One caller's secure transport and data channel. `connect`, then use, then `close` (idempotent)."""

    def __init__(
        self,
        certificate: RTCCertificate,
        fingerprints: list[tuple[str, str]],
        send: Callable[[bytes], None],
        callbacks: PeerCallbacks,
        is_dtls_server: bool = True,
        session_id: str = "",
        pacer: Pacer | None = None,
    ) -> None:
        self._link = _DatagramLink(send, pacer or Pacer())
        self._dtls = RTCDtlsTransport(cast(RTCIceTransport, self._link), [certificate])
        self._dtls._set_role("server" if is_dtls_server else "client")
        self._remote = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(a, digest) for a, digest in fingerprints if a in SUPPORTED_HASHES]
        )
        self._callbacks = callbacks
        self._sctp: BoundedSctp | None = None
        self._channel: RTCDataChannel | None = None
        self._closing = False
        self.opened = asyncio.Event()
        """Set when the data channel is open."""
        self._control_rate = ControlRateLimiter()
        self._refuses_length = False
        self._log = log.bind(session_id=session_id)

    def on_datagram(self, datagram: bytes) -> None:
        """A DTLS record from a validated address."""
        self._link.put(datagram)

    async def connect(self) -> SrtpPair:
        """Do the handshake. Raises `PeerFailed`; the caller bounds the time."""
        await self._dtls.start(self._remote)
        self._link.pacer = None
        if self._dtls.state != "connected":
            raise PeerFailed("the DTLS handshake failed")
        self._dtls.on("statechange", self._on_dtls_state)
        return SrtpPair(self._dtls._rx_srtp, self._dtls._tx_srtp)

    async def open_data(self, remote_port: int, max_message_size: int, channel_label: str | None = None) -> None:
        """Start SCTP. With `channel_label` open a channel too, else wait for the caller's `control`."""
        self._sctp = BoundedSctp(self._dtls, self._on_misuse)
        self._sctp.on("datachannel", self._adopt)
        await self._sctp.start(RTCSctpCapabilities(maxMessageSize=max_message_size), remote_port)
        if channel_label is not None:
            self._adopt(RTCDataChannel(self._sctp, RTCDataChannelParameters(label=channel_label)))

    def send_text(self, text: str) -> bool:
        """Queue a message on the data channel.

        False if there is no open channel, the caller does not read it, or the message is longer than they accept.
        """
        if self._channel is None or self._channel.readyState != "open":
            return False
        if self._channel.bufferedAmount > _MAX_BUFFERED_BYTES:
            _messages_dropped.labels("not_read").inc()
            return False
        try:
            self._channel.send(text)
        except ValueError as error:
            # Longer than the a=max-message-size of the caller's offer, which may be 1 (RFC 8841 §6.1).
            _messages_dropped.labels("too_long").inc()
            if not self._refuses_length:
                self._refuses_length = True
                self._log.warning("message_too_long_for_caller", error=str(error))
            return False
        return True

    async def close(self) -> None:
        """Shut down SCTP and DTLS, and free everything."""
        if self._closing:
            return
        self._closing = True
        try:
            if self._sctp is not None:
                await self._sctp.stop()
        finally:
            await self._dtls.stop()
            self._link.close()
            self._dtls.remove_all_listeners()

    def _adopt(self, channel: RTCDataChannel) -> None:
        if channel.label != _CHANNEL_LABEL or self._channel is not None:
            return
        self._channel = channel
        channel.on("message", self._on_message)
        if channel.readyState == "open":
            self._opened()
        else:
            channel.on("open", self._opened)

    def _opened(self) -> None:
        self.opened.set()
        self._callbacks.on_open()

    def _on_message(self, message: str | bytes) -> None:
        verdict = self._control_rate.judge(asyncio.get_running_loop().time())
        if verdict != "admitted":
            _over_rate.inc()
            if verdict == "refused":
                self._callbacks.on_too_fast()
            elif verdict == "flood" and self._sctp is not None:
                self._sctp.end("too_many_messages", "a flood on the data channel")
            return
        if isinstance(message, bytes):
            message = message.decode("utf-8", errors="replace")
        self._callbacks.on_text(message)

    def _on_dtls_state(self) -> None:
        if self._dtls.state in ("closed", "failed") and not self._closing:
            self._callbacks.on_closed("hangup")

    def _on_misuse(self, reason: str, details: str) -> None:
        self._log.warning("data_channel_misused", reason=reason, details=details)
        if not self._closing:
            self._callbacks.on_closed(reason)


async def self_test() -> None:
    """Two peers in memory shake hands and pass a packet and a message: proves the private names still fit.

    Raises `ConfigError` that names the installed versions.
    """
    try:
        async with asyncio.timeout(5):
            await _exchange()
    except Exception as error:
        found = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "pylibsrtp", "pyOpenSSL"))
        raise ConfigError(f"aiortc does not work as expected with {found}: {error!r}") from error


async def _exchange() -> None:
    certificate = Certificate.generate()
    fingerprints = [(f.algorithm, f.value) for f in certificate.getFingerprints()]
    heard: asyncio.Queue[str] = asyncio.Queue()

    callbacks = PeerCallbacks(on_text=heard.put_nowait, on_closed=heard.put_nowait)
    server = Peer(certificate, fingerprints, lambda data: client.on_datagram(data), callbacks)
    client = Peer(certificate, fingerprints, lambda data: server.on_datagram(data), callbacks, is_dtls_server=False)
    try:
        theirs, ours = await asyncio.gather(client.connect(), server.connect())
        packet = theirs.tx.protect(bytes.fromhex("80600001000000010000000a") + b"antiphon")
        if SrtpCodec(ours).unprotect(packet) != 20:
            raise RuntimeError("SRTP keys differ")
        await asyncio.gather(client.open_data(5000, 65_536, _CHANNEL_LABEL), server.open_data(5000, 65_536))
        await client.opened.wait()
        assert client._sctp is not None and server._sctp is not None
        beyond_bounds = await send_what_is_dropped(client._sctp)
        client.send_text("ready")
        if (said := await heard.get()) != "ready":
            raise RuntimeError(f"the data channel said {said!r}")
        if server._sctp.dropped != beyond_bounds:
            raise RuntimeError("the data channel has no bounds")
    finally:
        await client.close()
        await server.close()
