import platform
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from hypothesis import given
from hypothesis import strategies as st

from media_worker import opus
from media_worker.opus import Decoder, Encoder, flush_to_zero
from shared.audio import Pcm, as_samples
from shared.errors import ConfigError
from tests.fakes.sounds import likeness, tone, vowels

FRAME = 320


def decoded(decoder: Decoder, packet: bytes) -> Pcm:
    return as_samples(decoder.decode(packet))


def round_trip(pcm: Pcm, rate: int) -> Pcm:
    encoder, decoder = Encoder(rate, 48_000, 5), Decoder()
    size = rate // 50
    return np.concatenate(
        [decoded(decoder, encoder.encode(pcm[at : at + size].tobytes())) for at in range(0, len(pcm) - size + 1, size)]
    )


def browser_packets(pcm_48k: Pcm) -> list[bytes]:
    """As a browser sends speech that was asked for in-band FEC: wideband SILK in 20 ms packets."""
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = 48_000, "mono", "s16"
    codec.bit_rate, codec.time_base = 32_000, Fraction(1, 48_000)
    codec.options = {"application": "voip", "fec": "1", "packet_loss": "30", "frame_duration": "20"}
    packets = []
    for at in range(0, len(pcm_48k) - 959, 960):
        frame = av.AudioFrame.from_ndarray(pcm_48k[None, at : at + 960], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, at
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_a_tone_comes_back(rate: int) -> None:
    back = round_trip(tone(440, 1, rate), rate)
    assert len(back) == 16_000
    assert likeness(tone(440, 0.5, 16_000), back[3_200:], largest_shift=200) > 0.98


def test_a_rate_that_opus_does_not_support_is_refused() -> None:
    with pytest.raises(ConfigError, match="22050"):
        Encoder(22_050, 32_000, 5)


def test_complexity_can_be_changed_while_encoding() -> None:
    encoder = Encoder(24_000, 32_000, 10)
    sound = vowels(0.02, 24_000).tobytes()
    for complexity in (0, 5, 10):
        encoder.set_complexity(complexity)
        assert len(encoder.encode(sound)) > 2
    with pytest.raises(ConfigError):
        encoder.set_complexity(11)


def test_fec_brings_back_what_concealment_only_guesses() -> None:
    """Every fifth packet is lost; the one behind it carries a copy."""
    voice = vowels(4, 48_000)
    packets = browser_packets(voice)
    whole, with_fec, guessing = Decoder(), Decoder(), Decoder()
    recovered, concealed, original = [], [], []
    for n, packet in enumerate(packets):
        pcm = decoded(whole, packet)
        if n % 5 == 4 and n + 1 < len(packets):
            original.append(pcm)
            recovered.append(as_samples(with_fec.decode_fec(packets[n + 1], FRAME)))
            concealed.append(as_samples(guessing.conceal(FRAME)))
        else:
            decoded(with_fec, packet)
            decoded(guessing, packet)
    assert all(len(pcm) == FRAME for pcm in recovered + concealed)
    truth = np.concatenate(original[5:])
    by_fec = likeness(truth, np.concatenate(recovered[5:]))
    by_guess = likeness(truth, np.concatenate(concealed[5:]))
    assert by_fec > 0.7
    assert by_fec > by_guess + 0.3


def test_a_packet_without_a_copy_is_concealed_instead() -> None:
    encoder, decoder = Encoder(24_000, 48_000, 5), Decoder()
    packets = [encoder.encode(p.tobytes()) for p in np.split(tone(440, 0.2, 24_000), 10)]
    for packet in packets[:8]:
        decoder.decode(packet)
    recovered = as_samples(decoder.decode_fec(packets[9], FRAME))
    assert len(recovered) == FRAME
    assert np.abs(recovered).max() > 1_000


def test_concealment_goes_on_with_the_sound_and_fades() -> None:
    encoder, decoder = Encoder(24_000, 48_000, 5), Decoder()
    for piece in np.split(tone(440, 0.2, 24_000), 10):
        decoder.decode(encoder.encode(piece.tobytes()))
    concealed = as_samples(decoder.conceal(5 * FRAME)).astype(float)
    assert len(concealed) == 5 * FRAME
    assert np.abs(concealed[:FRAME]).max() > 1_000
    assert np.square(concealed[-FRAME:]).mean() < np.square(concealed[:FRAME]).mean() / 4


@pytest.mark.parametrize("samples", [1, 39, 40, 333, 1_600, 1_920, 5_000])
def test_any_length_can_be_concealed(samples: int) -> None:
    decoder = Decoder()
    assert len(decoder.conceal(samples)) == 2 * samples
    assert len(decoder.decode_fec(b"\x78voice", samples)) == 2 * samples


@given(st.binary(max_size=1_300))
def test_garbage_is_decoded_or_refused(packet: bytes) -> None:
    decoder = Decoder()
    pcm = decoder.decode(packet) if packet else b""
    assert len(pcm) % 2 == 0
    assert len(pcm) <= 2 * 1_920
    assert len(decoder.decode_fec(packet, FRAME)) == 2 * FRAME
    after = Encoder(24_000, 32_000, 0).encode(tone(440, 0.02, 24_000).tobytes())
    assert len(decoder.decode(after)) == 2 * FRAME


@given(st.binary(min_size=1, max_size=200))
def test_the_length_of_a_packet_is_the_length_of_what_is_decoded(packet: bytes) -> None:
    ticks = opus.packet_ticks(packet)
    pcm = Decoder().decode(packet)
    assert 0 <= ticks <= 5_760
    assert not pcm or len(pcm) // 2 * 3 == ticks


@pytest.mark.parametrize("config", range(32))
def test_frame_lengths_are_those_of_the_library(config: int) -> None:
    for frames in (0, 1):
        packet = bytes([config << 3 | frames, 0, 0])
        expected: int = opus._library().opus_packet_get_nb_samples(packet, len(packet), 48_000)
        assert opus.packet_ticks(packet) == expected


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_a_toc_only_packet_is_20_ms_of_silence(rate: int) -> None:
    packet = bytes([opus.silence_toc(rate)])
    assert len(packet) == 1
    assert opus.packet_ticks(packet) == 960
    assert not as_samples(Decoder().decode(packet)).any()


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_the_toc_before_anything_was_encoded_is_the_encoders_own(rate: int) -> None:
    spoken = Encoder(rate, 32_000, 5).encode(vowels(0.02, rate).tobytes())
    assert opus.silence_toc(rate) & 0xF8 == spoken[0] & 0xF8


def test_self_test_returns_the_version() -> None:
    assert opus.self_test().startswith("libopus ")


def test_without_libopus_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "_candidates", lambda: ["/nowhere/libopus.so"])
    with pytest.raises(ConfigError, match="libopus0"):
        opus.library_path.__wrapped__()


_SMALLEST_NORMAL = 2.2250738585072014e-308


# In a thread of their own: the setting belongs to the thread, and the other tests need denormal numbers.


def halved() -> float:
    return float(_SMALLEST_NORMAL) / 2.0


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="other processors are not supported")
def test_the_calling_thread_treats_denormals_as_zero() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(halved).result() > 0
        assert thread.submit(flush_to_zero).result()
        assert thread.submit(halved).result() == 0
    assert halved() > 0, "other threads do not"


def test_an_unknown_processor_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(flush_to_zero).result()
        assert thread.submit(halved).result() > 0
