import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.ice_lite import Credentials
from media_worker.core.sdp_answer import LocalMedia, write_answer
from media_worker.core.sdp_offer import parse_offer
from shared.errors import OfferError
from tests.media_worker.core.test_sdp_offer import CHROMIUM, FIREFOX, OFFERS, WITH_VIDEO, without

LOCAL = LocalMedia(
    credentials=Credentials("0a1b2c3d", "00112233445566778899aabbccddeeff"),
    fingerprint="sha-256 " + ":".join(["AB"] * 32),
    addresses=(("192.0.2.10", 4433), ("2001:db8::10", 4433)),
    ssrc=12345,
    stream_id="antiphon",
    session_version=1,
)


def answer_to(sdp: str, local: LocalMedia = LOCAL) -> str:
    return write_answer(parse_offer(sdp), local)


@pytest.mark.parametrize("sdp", OFFERS.values(), ids=OFFERS.keys())
def test_answers_section_by_section(sdp: str) -> None:
    offered, answered = SessionDescription.parse(sdp), SessionDescription.parse(answer_to(sdp))
    assert [(m.kind, m.profile, m.rtp.muxId) for m in answered.media] == [
        (m.kind, m.profile, m.rtp.muxId) for m in offered.media
    ]


def test_the_audio_section_says_what_we_want_to_hear() -> None:
    (audio, _) = SessionDescription.parse(answer_to(CHROMIUM)).media
    (codec,) = audio.rtp.codecs
    assert (codec.mimeType, codec.payloadType, codec.clockRate, codec.channels) == ("audio/opus", 111, 48_000, 2)
    wanted = {key: int(value or 0) for key, value in codec.parameters.items()}
    assert wanted["useinbandfec"] == wanted["usedtx"] == 1
    assert wanted["maxplaybackrate"] == 16_000
    assert audio.rtcp_mux
    assert audio.direction == "sendrecv"
    assert audio.ssrc[0].ssrc == 12345


def test_each_accepted_section_names_our_transport() -> None:
    description = SessionDescription.parse(answer_to(CHROMIUM))
    for media in description.media:
        assert media.ice is not None
        assert media.dtls is not None
        assert (media.ice.usernameFragment, media.ice.password) == LOCAL.credentials
        assert media.ice.iceLite
        assert media.ice_candidates_complete
        assert media.dtls.role == "server"
        assert [(f.algorithm, f.value) for f in media.dtls.fingerprints] == [("sha-256", ":".join(["AB"] * 32))]
        assert [(c.ip, c.port, c.type) for c in media.ice_candidates] == [
            ("192.0.2.10", 4433, "host"),
            ("2001:db8::10", 4433, "host"),
        ]
        first, second = media.ice_candidates
        assert first.priority > second.priority
        assert len({first.foundation, second.foundation}) == 2


def test_video_is_rejected_and_the_rest_is_bundled() -> None:
    text = answer_to(WITH_VIDEO)
    assert "a=group:BUNDLE 0 2\r\n" in text
    audio, video, data = SessionDescription.parse(text).media
    assert (video.port, video.direction) == (0, "inactive")
    assert video.dtls is None or not video.dtls.fingerprints
    assert audio.port and data.port


def test_bundle_only_data_is_accepted_and_bundle_only_video_is_not() -> None:
    text = answer_to(FIREFOX)
    assert "a=group:BUNDLE 0 2\r\n" in text
    assert [media.port for media in SessionDescription.parse(text).media] == [9, 0, 9]


def test_without_a_bundle_audio_alone_is_accepted() -> None:
    text = answer_to(without(CHROMIUM, "a=group"))
    assert "a=group" not in text
    assert [media.port for media in SessionDescription.parse(text).media] == [9, 0]


def test_an_audio_section_without_a_name_is_answered_without_one() -> None:
    sdp = without(without(CHROMIUM, "a=group"), "a=mid")
    assert "a=mid" not in answer_to(sdp)


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_directions_are_seen_from_the_other_side(offered: str, answered: str) -> None:
    (audio, _) = SessionDescription.parse(answer_to(CHROMIUM.replace("a=sendrecv", f"a={offered}"))).media
    assert audio.direction == answered


def test_a_later_answer_has_a_higher_version_of_the_same_session() -> None:
    first, second = (answer_to(CHROMIUM, LOCAL._replace(session_version=n)).splitlines()[1] for n in (1, 2))
    assert first.split()[:2] == second.split()[:2]
    assert (first.split()[2], second.split()[2]) == ("1", "2")


async def test_a_stock_peer_accepts_it() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(AudioStreamTrack())
    peer.createDataChannel("control")
    try:
        await peer.setLocalDescription(await peer.createOffer())
        answer = answer_to(peer.localDescription.sdp, LOCAL._replace(addresses=(("127.0.0.1", 9),)))
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert peer.signalingState == "stable"
        assert [t.currentDirection for t in peer.getTransceivers()] == ["sendrecv"]
    finally:
        await peer.close()


@given(st.sampled_from(sorted(OFFERS)), st.lists(st.tuples(st.integers(0, 10_000), st.characters()), max_size=8))
def test_nothing_of_a_changed_offer_breaks_a_line_of_the_answer(name: str, changes: list[tuple[int, str]]) -> None:
    characters = list(OFFERS[name])
    for at, character in changes:
        characters[at % len(characters)] = character
    try:
        offer = parse_offer("".join(characters))
    except OfferError:
        return
    text = write_answer(offer, LOCAL)
    assert text.isascii()
    assert all(line[1] == "=" and line.isprintable() for line in text.removesuffix("\r\n").split("\r\n"))
    assert text.count("\r\nm=") == len(offer.sections)
