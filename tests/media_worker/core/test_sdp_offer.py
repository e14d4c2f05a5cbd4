import re
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.sdp_offer import MAX_SECTIONS, parse_offer
from shared.errors import OfferError

OFFERS = {path.stem: path.read_bytes().decode() for path in (Path(__file__).parent / "offers").glob("*.sdp")}
CHROMIUM = OFFERS["chromium_audio_data"]
WITH_VIDEO = OFFERS["chromium_audio_video_data"]
FIREFOX = OFFERS["firefox_form_bundle_only"]


async def aiortc_offer() -> str:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(AudioStreamTrack())
    peer.createDataChannel("control")
    await peer.setLocalDescription(await peer.createOffer())
    sdp: str = peer.localDescription.sdp
    await peer.close()
    return sdp


CHROMIUM_SECTIONS = re.compile(r"(?:v=|m=).*?(?=m=|\Z)", re.DOTALL)


def without(sdp: str, *starts: str) -> str:
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(starts))


def refusal(sdp: str) -> str:
    with pytest.raises(OfferError) as raised:
        parse_offer(sdp)
    return raised.value.code


def test_reads_chromium() -> None:
    offer = parse_offer(CHROMIUM)
    assert [section.kind for section in offer.sections] == ["audio", "application"]
    assert offer.audio.opus is not None
    assert offer.audio.opus.payload_type == 111
    assert (offer.audio.ufrag, offer.audio.password) == ("k6rd", "u+zFy9TI3Gqsdkt4LyKSon4O")
    assert offer.audio.fingerprints[0][0] == "sha-256"
    assert offer.audio.rtcp_mux
    assert offer.data is not None
    assert (offer.data.sctp_port, offer.data.max_message_size) == (5000, 262_144)
    assert offer.bundled == {"0", "1"}


def test_sees_video_and_does_not_want_it() -> None:
    offer = parse_offer(WITH_VIDEO)
    assert [section.kind for section in offer.sections] == ["audio", "video", "application"]
    assert offer.audio is offer.sections[0]
    assert offer.data is offer.sections[2]


def test_reads_firefox_with_its_fingerprint_on_session_level_and_its_bundle_only_sections() -> None:
    offer = parse_offer(FIREFOX)
    assert offer.audio.opus is not None
    assert offer.audio.opus.payload_type == 109
    assert len(offer.audio.fingerprints) == 1
    assert offer.data is not None
    assert offer.data.mid == "2"


async def test_reads_aiortc() -> None:
    offer = parse_offer(await aiortc_offer())
    assert offer.audio.opus is not None
    assert offer.audio.opus.payload_type == 96
    assert offer.data is not None
    assert {algorithm for algorithm, _ in offer.audio.fingerprints} >= {"sha-256"}


@pytest.mark.parametrize("sdp", OFFERS.values(), ids=OFFERS.keys())
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_newline_will_do(sdp: str, newline: str) -> None:
    assert parse_offer(sdp.replace("\r\n", newline)) == parse_offer(sdp)


def test_the_fingerprint_of_a_section_overrides_that_of_the_session() -> None:
    own = "a=fingerprint:SHA-256 " + ":".join(["ab"] * 32)
    offer = parse_offer(FIREFOX.replace("a=mid:0", f"a=mid:0\r\n{own}"))
    assert offer.audio.fingerprints == [("sha-256", ":".join(["AB"] * 32))]


def test_a_fingerprint_of_an_unknown_hash_is_skipped() -> None:
    offer = parse_offer(CHROMIUM.replace("a=mid:0", "a=mid:0\r\na=fingerprint:md5 00:11"))
    assert [algorithm for algorithm, _ in offer.audio.fingerprints] == ["sha-256"]


def test_the_first_opus_of_several_is_taken() -> None:
    several = CHROMIUM.replace("a=rtpmap:63 red/48000/2", "a=rtpmap:63 OPUS/48000/2")
    opus = parse_offer(several.replace("SAVPF 111 63", "SAVPF 63 111")).audio.opus
    assert opus is not None
    assert opus.payload_type == 63


def test_a_rejected_audio_section_is_skipped() -> None:
    head, audio, *_ = CHROMIUM.replace("m=application", "m=audio", 1).split("m=audio")
    rejected = f"m=audio 0{audio.removeprefix(' 9')}".replace("a=mid:0", "a=mid:7")
    offer = parse_offer(head + rejected + "m=audio" + audio)
    assert offer.audio.mid == "0"


def test_audio_without_opus_is_skipped() -> None:
    head, audio, *_ = CHROMIUM.replace("m=application", "m=audio", 1).split("m=audio")
    telephone = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:7\r\na=rtpmap:0 PCMU/8000\r\n"
    assert parse_offer(head + telephone + "m=audio" + audio).audio.mid == "0"


def test_audio_behind_video_in_a_bundle_shares_the_videos_transport() -> None:
    head, audio, video, data = CHROMIUM_SECTIONS.findall(WITH_VIDEO)
    bare = without(audio, "a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux")
    bare = bare.replace("m=audio 9", "m=audio 0").replace("a=mid:0", "a=mid:0\r\na=bundle-only")
    offer = parse_offer(head.replace("BUNDLE 0 1 2", "BUNDLE 1 0 2") + video + bare + data)
    expected = parse_offer(WITH_VIDEO)
    assert offer.audio.mid == "0"
    assert (offer.audio.ufrag, offer.audio.password) == (expected.audio.ufrag, expected.audio.password)
    assert offer.audio.fingerprints == expected.audio.fingerprints
    assert offer.data is not None


@pytest.mark.parametrize(
    ("direction", "wanted"), [("sendrecv", True), ("recvonly", True), ("sendonly", False), ("inactive", False)]
)
def test_whether_the_caller_accepts_our_audio(direction: str, wanted: bool) -> None:
    assert parse_offer(CHROMIUM.replace("a=sendrecv", f"a={direction}")).wants_agent is wanted


def test_a_data_section_outside_the_bundle_is_not_accepted() -> None:
    assert parse_offer(CHROMIUM.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0")).data is None
    assert parse_offer(without(CHROMIUM, "a=group")).data is None


def test_a_data_section_in_the_old_form_is_not_accepted() -> None:
    old = CHROMIUM.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000").replace(
        "a=sctp-port:5000", "a=sctpmap:5000"
    )
    assert parse_offer(old).data is None


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        ("", "bad_sdp"),
        ("hello", "bad_sdp"),
        ("v=0\r\n", "no_audio"),
        (CHROMIUM.replace("v=0", "v=1"), "bad_sdp"),
        (CHROMIUM.replace("m=audio", "m=video"), "no_audio"),
        (CHROMIUM.replace("m=audio 9", "m=audio 0"), "no_audio"),
        (CHROMIUM.replace("opus/48000/2", "opus/48000"), "no_opus"),
        (CHROMIUM.replace("a=rtpmap:111", "a=rtpmap:112"), "no_opus"),
        (without(CHROMIUM, "a=ice-ufrag"), "bad_sdp"),
        (without(CHROMIUM, "a=ice-pwd"), "bad_sdp"),
        (without(CHROMIUM, "a=fingerprint"), "bad_sdp"),
        (without(CHROMIUM, "a=rtcp-mux"), "bad_sdp"),
        (CHROMIUM.replace("a=setup:actpass", "a=setup:passive"), "bad_setup"),
        (CHROMIUM.replace("a=setup:actpass", "a=setup:nonsense"), "bad_setup"),
        (CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "bad_sdp"),
        (CHROMIUM.replace("sha-256", "sha-1"), "bad_sdp"),
        (CHROMIUM.replace("sha-256 18:", "sha-256 "), "bad_sdp"),
        (CHROMIUM.replace("a=ice-ufrag:k6rd", "a=ice-ufrag:k6"), "bad_sdp"),
        (CHROMIUM.replace("a=ice-ufrag:k6rd", "a=ice-ufrag:k6 rd"), "bad_sdp"),
        (CHROMIUM.replace("a=mid:0", "a=mid:" + "x" * 33), "bad_sdp"),
        (CHROMIUM.replace("m=audio 9", "m=audio 65536"), "bad_sdp"),
        (CHROMIUM.replace("m=audio 9", "m=audio ⁹"), "bad_sdp"),
        (CHROMIUM.replace("a=sctp-port:5000", "a=sctp-port:٥"), "bad_sdp"),
        (CHROMIUM + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * MAX_SECTIONS, "bad_sdp"),
    ],
)
def test_says_why_an_offer_cannot_be_answered(sdp: str, code: str) -> None:
    assert refusal(sdp) == code


def test_a_later_offer_of_the_same_session_may_change_its_ice_credentials_only() -> None:
    offer = parse_offer(CHROMIUM)
    restarted = parse_offer(CHROMIUM.replace("k6rd", "next").replace("u+zFy9TI3Gqsdkt4LyKSon4O", "x" * 24))
    assert restarted.fixed_parts == offer.fixed_parts
    for change in (("18:B1", "19:B1"), ("111", "112"), ("a=mid:1", "a=mid:2"), ("a=sctp-port", "a=sctpport")):
        assert parse_offer(CHROMIUM.replace(*change)).fixed_parts != offer.fixed_parts


lines = st.sampled_from([line for sdp in OFFERS.values() for line in sdp.splitlines()])


@given(st.text(max_size=400))
def test_any_text_raises_offer_error_only(text: str) -> None:
    with pytest.raises(OfferError):
        parse_offer(text)


@given(st.sampled_from(sorted(OFFERS)), st.lists(st.tuples(st.integers(0, 10_000), st.characters()), max_size=8))
def test_offers_with_changed_characters_raise_offer_error_only(name: str, changes: list[tuple[int, str]]) -> None:
    characters = list(OFFERS[name])
    for at, character in changes:
        characters[at % len(characters)] = character
    parse_or_refuse("".join(characters))


@given(st.sampled_from(sorted(OFFERS)), st.data())
def test_offers_with_changed_lines_raise_offer_error_only(name: str, data: st.DataObject) -> None:
    changed = OFFERS[name].splitlines()
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["drop", "repeat", "replace", "cut", "value"])):
            case "drop" if len(changed) > 1:
                del changed[at]
            case "repeat":
                changed.insert(at, changed[at])
            case "replace":
                changed[at] = data.draw(lines)
            case "cut":
                changed[at] = changed[at][: data.draw(st.integers(0, 12))]
            case _:
                changed[at] = changed[at].partition(":")[0] + ":" + data.draw(st.text(max_size=20))
    parse_or_refuse("\r\n".join(changed))


def parse_or_refuse(sdp: str) -> None:
    try:
        offer = parse_offer(sdp)
    except OfferError:
        return
    assert offer.audio.opus is not None
    assert len(offer.sections) <= MAX_SECTIONS
