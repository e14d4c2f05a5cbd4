"""Writes the answer to an offer (RFC 8829 §5.3): one audio section, the data channel, everything else rejected.

The audio's fmtp says what we want to receive (RFC 7587 §6.1): in-band FEC against loss, DTX so that silence costs
nothing, and wideband, because the recognisers use 16 kHz.
"""

from typing import NamedTuple

from media_worker.core.ice_lite import Credentials
from media_worker.core.sdp_offer import MediaSection, Offer
from media_worker.core.stun import Address

_ANSWERED_DIRECTION = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_HOST_PREFERENCE = 126  # RFC 8445 §5.1.2.2: host candidates
MAX_MESSAGE_SIZE = 65_536


class LocalMedia(NamedTuple):
    """Our side. `fingerprint` is `algorithm digest`; `addresses` are those that callers can reach."""

    credentials: Credentials
    fingerprint: str
    addresses: tuple[Address, ...]
    ssrc: int
    stream_id: str
    session_version: int


def write_answer(offer: Offer, local: LocalMedia) -> str:
    sections = [_section(section, offer, local) for section in offer.sections]
    accepted = [section.mid for section in offer.sections if section is offer.audio or section is offer.data]
    lines = [
        "v=0",
        f"o=- {local.ssrc} {local.session_version} IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
    ]
    if offer.audio.mid in offer.bundled:
        lines.append("a=group:BUNDLE " + " ".join(accepted))
    lines += [f"a=msid-semantic: WMS {local.stream_id}"]
    return "".join(line + "\r\n" for line in [*lines, *(line for section in sections for line in section)])


def _section(section: MediaSection, offer: Offer, local: LocalMedia) -> list[str]:
    if section is offer.audio:
        return _audio(section, local)
    if section is offer.data:
        return [
            f"m=application 9 {section.protocol} webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            *_transport(section, local),
            "a=sctp-port:5000",
            f"a=max-message-size:{MAX_MESSAGE_SIZE}",
        ]
    rejected = [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
    return [*rejected, f"a=mid:{section.mid}", "a=inactive"] if section.mid else [*rejected, "a=inactive"]


def _audio(section: MediaSection, local: LocalMedia) -> list[str]:
    opus = section.opus
    assert opus is not None  # parse_offer refuses an audio section without it
    wanted = "minptime=10;useinbandfec=1;usedtx=1;maxplaybackrate=16000;maxaveragebitrate=24000;stereo=0;sprop-stereo=0"
    return [
        f"m=audio 9 {section.protocol} {opus.payload_type}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        *_transport(section, local),
        f"a={_ANSWERED_DIRECTION[section.direction]}",
        "a=rtcp-mux",
        "a=ptime:20",
        f"a=msid:{local.stream_id} agent-audio",
        f"a=rtpmap:{opus.payload_type} opus/48000/2",
        f"a=fmtp:{opus.payload_type} {wanted}",
        f"a=ssrc:{local.ssrc} cname:{local.stream_id}",
        f"a=ssrc:{local.ssrc} msid:{local.stream_id} agent-audio",
    ]


def _transport(section: MediaSection, local: LocalMedia) -> list[str]:
    lines = [f"a=mid:{section.mid}"] if section.mid else []
    lines += [
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.password}",
        f"a=fingerprint:{local.fingerprint}",
        "a=setup:passive",
    ]
    for index, (host, port) in enumerate(local.addresses):
        priority = (_HOST_PREFERENCE << 24) + ((65_535 - index) << 8) + 255  # RFC 8445 §5.1.2.1, component 1
        lines.append(f"a=candidate:{index + 1} 1 udp {priority} {host} {port} typ host")
    return [*lines, "a=end-of-candidates"]
