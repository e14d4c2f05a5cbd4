"""Reads a WebRTC offer (RFC 8866, RFC 8829 §5.8). Untrusted: bad input raises `OfferError`, nothing else.

Only what the answer depends on is kept. Unknown parts are skipped, as RFC 8866 §5 requires.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from shared.errors import OfferError

MAX_SECTIONS = 32
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_TOKEN = re.compile(r"[!#$%&'*+./0-9A-Za-z^_`{|}~-]{1,256}\Z")
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+\Z")
_HASH_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")
_HEX_BYTES = re.compile(r"(?:[0-9a-f]{2}:)+[0-9a-f]{2}\Z")
_HASH_SIZES = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
SUPPORTED_HASHES = ("sha-256", "sha-384", "sha-512")


@dataclass(frozen=True)
class Codec:
    payload_type: int
    name: str
    clock_rate: int
    channels: int


@dataclass
class MediaSection:
    """One m= section."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    mid: str = ""
    direction: str = "sendrecv"
    ufrag: str = ""
    password: str = ""
    setup: str = "actpass"
    rtcp_mux: bool = False
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    codecs: dict[int, Codec] = field(default_factory=dict)
    sctp_port: int | None = None
    max_message_size: int = 65_536  # RFC 8841 §6.1: the default
    bundle_only: bool = False

    @property
    def is_offered(self) -> bool:
        """RFC 9143 §6: port 0 means rejected, except for a bundle-only section."""
        return self.port != 0 or self.bundle_only

    @property
    def opus(self) -> Codec | None:
        """The first Opus among the formats, in the offerer's order of preference."""
        for payload_type in self.formats:
            codec = self.codecs.get(int(payload_type)) if payload_type.isdigit() else None
            if codec and codec.name.lower() == "opus" and codec.clock_rate == 48_000 and codec.channels == 2:
                return codec
        return None


@dataclass(frozen=True)
class Offer:
    """The sections in order, and those that we use."""

    sections: list[MediaSection]
    bundled: frozenset[str]
    audio: MediaSection
    data: MediaSection | None

    @property
    def wants_agent(self) -> bool:
        """Whether the caller receives our audio: not on hold, and not send-only (RFC 3264 §6.1)."""
        return self.audio.direction in ("sendrecv", "recvonly")

    @property
    def fixed_parts(self) -> tuple[Any, ...]:
        """What a later offer of the same session must not change."""
        opus = self.audio.opus
        shape = [(section.kind, section.mid) for section in self.sections]
        return self.audio.fingerprints, shape, self.sections.index(self.audio), opus, self.data is None


def parse_offer(sdp: str) -> Offer:
    """Read `sdp`. Raises `OfferError`: `bad_sdp` for malformed text, else a code such as `no_audio` or `no_opus`."""
    session, sections = _split(sdp)
    defaults = MediaSection("", 0, "", [])
    group: list[str] = []
    for name, value in _attributes(session):
        if name == "group" and value.split(" ")[0] == "BUNDLE":
            group = value.split(" ")[1:]
        else:
            _apply(defaults, name, value)
    bundled = frozenset(group)
    parsed = [_parse_section(lines, defaults) for lines in sections]
    audible = [section for section in parsed if section.kind == "audio" and section.is_offered]
    if not audible:
        raise OfferError("the offer has no audio section: add a microphone track first", code="no_audio")
    audio = next((section for section in audible if section.opus is not None), None)
    if audio is None:
        raise OfferError("the offer's audio has no opus/48000/2", code="no_opus")
    if audio.mid in bundled and not audio.ufrag:
        _inherit_transport(audio, next((section for section in parsed if section.mid == group[0]), audio))
    _require_transport(audio)
    data = next(
        (
            section
            for section in parsed
            if section.kind == "application"
            and section.is_offered
            and section.protocol in ("UDP/DTLS/SCTP", "DTLS/SCTP")
            and section.sctp_port is not None
            and section.mid in bundled
            and audio.mid in bundled
        ),
        None,
    )
    return Offer(parsed, bundled, audio, data)


def _split(sdp: str) -> tuple[list[str], list[list[str]]]:
    lines = [line for line in re.split(r"\r\n|\n|\r", sdp) if line]
    if not lines or lines[0] != "v=0":
        raise OfferError("an SDP starts with v=0")
    session: list[str] = []
    sections: list[list[str]] = []
    for line in lines:
        if len(line) < 2 or line[1] != "=" or not line[0].isalpha():
            raise OfferError(f"not a line of SDP: {line[:40]!r}")
        if line.startswith("m="):
            sections.append([])
        (sections[-1] if sections else session).append(line)
    if not sections:
        raise OfferError("the offer has no media section", code="no_audio")
    if len(sections) > MAX_SECTIONS:
        raise OfferError(f"more than {MAX_SECTIONS} media sections")
    return session, sections


def _attributes(lines: list[str]) -> list[tuple[str, str]]:
    pairs = (line[2:].partition(":") for line in lines if line.startswith("a="))
    return [(name, value.strip()) for name, _, value in pairs]


def _parse_section(lines: list[str], defaults: MediaSection) -> MediaSection:
    parts = lines[0][2:].split()
    if len(parts) < 4 or not all(_TOKEN.match(part) for part in parts):
        raise OfferError(f"not an m= line: {lines[0][:60]!r}")
    kind, port, protocol, *formats = parts
    section = MediaSection(
        kind,
        _number(port.partition("/")[0], 65_535, "port"),
        protocol,
        formats,
        direction=defaults.direction,
        ufrag=defaults.ufrag,
        password=defaults.password,
        setup=defaults.setup,
    )
    for name, value in _attributes(lines):
        _apply(section, name, value)
    section.fingerprints = section.fingerprints or defaults.fingerprints
    return section


def _apply(section: MediaSection, name: str, value: str) -> None:
    match name:
        case "mid":
            if not _TOKEN.match(value) or len(value) > 32:
                raise OfferError("a mid is a short token")
            section.mid = value
        case "ice-ufrag":
            section.ufrag = _ice_word(value, 4, name)
        case "ice-pwd":
            section.password = _ice_word(value, 22, name)
        case "fingerprint":
            section.fingerprints += _fingerprint(value)
        case "setup":
            section.setup = value
        case "bundle-only":
            section.bundle_only = True
        case "rtcp-mux":
            section.rtcp_mux = True
        case "rtpmap":
            codec = _codec(value)
            section.codecs[codec.payload_type] = codec
        case "sctp-port":
            section.sctp_port = _number(value, 65_535, name)
        case "max-message-size":
            section.max_message_size = _number(value, 2**53, name)
        case _ if name in _DIRECTIONS:
            section.direction = name


def _inherit_transport(section: MediaSection, tagged: MediaSection) -> None:
    """RFC 9143 §7.1.3: in a bundle only the first section has to describe the shared transport."""
    section.ufrag, section.password, section.setup = tagged.ufrag, tagged.password, tagged.setup
    section.fingerprints = tagged.fingerprints
    section.rtcp_mux = section.rtcp_mux or tagged.rtcp_mux


def _require_transport(audio: MediaSection) -> None:
    if audio.protocol not in ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "UDP/TLS/RTP/SAVP"):
        raise OfferError(f"audio over {audio.protocol[:40]} is not encrypted WebRTC audio")
    if not audio.ufrag or not audio.password:
        raise OfferError("the offer has no ICE credentials (ice-ufrag, ice-pwd)")
    if not any(algorithm in SUPPORTED_HASHES for algorithm, _ in audio.fingerprints):
        raise OfferError("the offer has no DTLS fingerprint of sha-256 or better")
    if audio.setup not in ("actpass", "active"):
        raise OfferError("the offer must let us be the DTLS server (setup:actpass or active)", code="bad_setup")
    if not audio.rtcp_mux:
        raise OfferError("the offer does not multiplex RTCP (rtcp-mux)")


def _codec(value: str) -> Codec:
    payload_type, _, description = value.partition(" ")
    name, *numbers = description.strip().split("/")
    if not numbers or len(numbers) > 2:
        raise OfferError(f"not an rtpmap: {value[:60]!r}")
    rate = _number(numbers[0], 2**31, "rtpmap")
    channels = _number(numbers[1], 255, "rtpmap") if len(numbers) == 2 else 1
    return Codec(_number(payload_type, 127, "rtpmap"), name, rate, channels)


def _fingerprint(value: str) -> list[tuple[str, str]]:
    """One fingerprint, or none if its hash is unknown: RFC 8122 §5 lets the offerer name several."""
    algorithm, _, digest = value.lower().partition(" ")
    if not _HASH_NAME.match(algorithm):
        raise OfferError(f"not a fingerprint: {value[:60]!r}")
    if algorithm not in _HASH_SIZES:
        return []
    if not _HEX_BYTES.match(digest) or len(digest) != _HASH_SIZES[algorithm] * 3 - 1:
        raise OfferError(f"a {algorithm} fingerprint has {_HASH_SIZES[algorithm]} bytes in hexadecimal")
    return [(algorithm, digest.upper())]


def _ice_word(value: str, shortest: int, name: str) -> str:
    """RFC 8839 §5.4: 4-256 (ufrag) or 22-256 (password) characters of ice-char."""
    if not shortest <= len(value) <= 256 or not _ICE_CHARS.match(value):
        raise OfferError(f"{name} is malformed")
    return value


def _number(value: str, largest: int, name: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 16) or int(value) > largest:
        raise OfferError(f"{name}: {value[:20]!r} is not a number up to {largest}")
    return int(value)
