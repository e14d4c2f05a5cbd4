import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_worker.core.jitter import Packet
from media_worker.opus import Encoder
from media_worker.uplink import Uplink
from shared.audio import Pcm, as_samples
from shared.frames import AudioFrame, SilenceRun
from tests.fakes.counters import Gained
from tests.fakes.sounds import likeness, strength, tone

FRAME = 320
DTX = b"\x48"


def spoken(pcm_16k: Pcm) -> list[bytes]:
    encoder = Encoder(16_000, 48_000, 5)
    return [encoder.encode(pcm_16k[at : at + FRAME].tobytes()) for at in range(0, len(pcm_16k) - FRAME + 1, FRAME)]


TONE = spoken(tone(440, 2, 16_000))


class Ear:
    """What an uplink emitted, and the rule that holds whatever happens: one time line without gaps."""

    def __init__(self) -> None:
        self.items: list[AudioFrame | SilenceRun] = []
        self.uplink = Uplink("s1", 3, self.items.append, 0.04)

    def hear(self, n: int, payload: bytes, now: float | None = None) -> None:
        self.uplink.on_packet(Packet(n & 0xFFFF, n * 960 & 0xFFFFFFFF, payload), n * 0.02 if now is None else now)

    def check(self) -> None:
        position = 0
        for seq, item in enumerate(self.items):
            assert (item.session, item.epoch, item.seq, item.sample_rate) == ("s1", 3, seq, 16_000)
            assert item.first_sample == position
            assert item.samples > 0
            position = item.end_sample

    @property
    def samples(self) -> int:
        return self.items[-1].end_sample if self.items else 0

    @property
    def sound(self) -> Pcm:
        """All of it, silence as zeros."""
        return np.concatenate(
            [
                as_samples(item.pcm) if isinstance(item, AudioFrame) else np.zeros(item.samples, np.int16)
                for item in self.items
            ]
        )


@pytest.fixture
def ear() -> Ear:
    return Ear()


def test_each_packet_becomes_a_frame_at_once(ear: Ear) -> None:
    for n, packet in enumerate(TONE):
        ear.hear(n, packet)
        assert len(ear.items) == n + 1
    ear.check()
    assert ear.samples == len(TONE) * FRAME
    assert likeness(tone(440, 1, 16_000), ear.sound[3_200:], largest_shift=200) > 0.98


def test_packets_out_of_order_sound_as_if_they_had_come_in_order(ear: Ear) -> None:
    order = list(range(50))
    for at in range(5, 45, 4):
        order[at], order[at + 1] = order[at + 1], order[at]
    for step, n in enumerate(order):
        ear.hear(n, TONE[n], step * 0.02)
    in_order = Ear()
    for n in range(50):
        in_order.hear(n, TONE[n])
    ear.check()
    assert np.array_equal(ear.sound, in_order.sound)


def test_lost_packets_are_concealed_and_time_goes_on(ear: Ear) -> None:
    concealed = Gained("antiphon_media_uplink_concealed_samples_total")
    for n, packet in enumerate(TONE):
        if n % 10 not in (4, 5):
            ear.hear(n, packet)
        ear.uplink.tick(n * 0.02 + 0.01)
    ear.check()
    assert ear.samples == len(TONE) * FRAME
    assert concealed() == 20 * FRAME
    assert not any(isinstance(item, SilenceRun) for item in ear.items)
    assert strength(ear.sound, 440, 16_000) > 0.9


def test_sound_that_waits_behind_a_hole_is_not_preceded_by_silence(ear: Ear) -> None:
    """The packet after the lost one is late itself, so that 85 ms pass without a frame."""
    ear.hear(0, TONE[0], 0.0)
    ear.hear(2, TONE[2], 0.055)
    for ms in range(60, 95, 5):
        ear.uplink.tick(ms / 1000)
    ear.uplink.tick(0.096)
    ear.check()
    assert [type(item) for item in ear.items] == [AudioFrame] * 3


def test_a_dtx_gap_is_one_run_of_silence(ear: Ear) -> None:
    ear.hear(0, TONE[0])
    ear.uplink.on_packet(Packet(1, 20 * 960, TONE[20]), 0.05)
    ear.check()
    assert [item.samples for item in ear.items] == [FRAME, 19 * FRAME, FRAME]
    assert isinstance(ear.items[1], SilenceRun)


def test_dtx_packets_are_silence_and_are_not_decoded(ear: Ear) -> None:
    ear.hear(0, TONE[0])
    ear.hear(1, DTX)
    ear.hear(2, DTX + b"\0")
    assert [type(item) for item in ear.items] == [AudioFrame, SilenceRun, SilenceRun]
    ear.check()


def test_time_goes_on_when_a_caller_falls_silent(ear: Ear) -> None:
    ear.uplink.begin(0.0)
    for tick in range(100):
        ear.uplink.tick(tick * 0.02)
    ear.check()
    assert ear.samples == pytest.approx((99 * 0.02 - 0.06) * 16_000, abs=FRAME)


def test_a_packet_that_is_not_opus_counts_as_lost(ear: Ear) -> None:
    malformed = Gained("antiphon_media_uplink_malformed_total")
    for n in range(10):
        ear.hear(n, TONE[n] if n != 5 else b"\x03\x00")
    ear.check()
    assert malformed() == 1
    assert ear.samples == 10 * FRAME
    assert all(isinstance(item, AudioFrame) for item in ear.items)


def test_a_late_packet_is_counted_in_addition_to_its_concealment(ear: Ear) -> None:
    late = Gained("antiphon_media_uplink_late_packets_total")
    for n in range(10):
        if n not in (4, 7):
            ear.hear(n, TONE[n])
    ear.uplink.tick(0.5)
    ear.hear(4, TONE[4], now=0.5)
    ear.check()
    assert late() == 1
    assert ear.uplink.quality() == {"lost_packets": 2, "late_packets": 1, "concealed_ms": 40, "dropped_ms": 0}


def test_a_packet_that_opus_cannot_decode_is_concealed(ear: Ear) -> None:
    undecodable = b"\x48" + b"\xff" * 1_300  # longer than a frame may be
    for n in range(10):
        ear.hear(n, TONE[n] if n != 5 else undecodable)
    ear.check()
    assert ear.samples == 10 * FRAME


def test_padding_only_packets_change_nothing(ear: Ear) -> None:
    malformed = Gained("antiphon_media_uplink_malformed_total")
    ear.hear(0, TONE[0])
    ear.hear(1, b"")
    ear.uplink.on_packet(Packet(2, 960, TONE[1]), 0.02)
    ear.check()
    assert ear.samples == 2 * FRAME
    assert malformed() == 0


def test_a_loss_before_a_padding_only_packet_is_still_concealed(ear: Ear) -> None:
    ear.hear(0, TONE[0])
    ear.uplink.on_packet(Packet(2, 1_920, b""), 0.03)
    ear.uplink.tick(0.071)
    ear.uplink.on_packet(Packet(3, 1_920, TONE[2]), 0.075)
    ear.check()
    assert [type(item) for item in ear.items] == [AudioFrame] * 3
    assert ear.samples == 3 * FRAME


def test_a_loss_shorter_than_a_sample_is_no_frame(ear: Ear) -> None:
    """The fuzzer found it: the pipeline got a frame without audio."""
    ear.uplink.on_packet(Packet(0, 0, TONE[0]), 0.0)
    ear.uplink.on_packet(Packet(2, 962, TONE[1]), 0.02)
    ear.uplink.tick(0.08)
    ear.check()
    assert ear.samples == 2 * FRAME


def test_longer_packets_become_longer_frames(ear: Ear) -> None:
    forty_ms = bytes([TONE[1][0] | 1]) + TONE[1][1:] + TONE[1][1:]
    ear.uplink.on_packet(Packet(0, 0, forty_ms), 0.0)
    ear.uplink.on_packet(Packet(1, 1_920, forty_ms), 0.04)
    ear.check()
    assert [item.samples for item in ear.items] == [2 * FRAME, 2 * FRAME]


def test_after_a_change_of_source_positions_continue(ear: Ear) -> None:
    for n in range(5):
        ear.hear(n, TONE[n])
    ear.uplink.restart()
    for n in range(5):
        ear.hear(40_000 + n, TONE[n], 0.1 + n * 0.02)
    ear.check()
    assert ear.samples == 10 * FRAME


def test_packets_of_120_ms_at_390_a_second_multiply_no_bill(ear: Ear) -> None:
    """47 times real time reached the recogniser."""
    dropped = Gained("antiphon_media_uplink_dropped_samples_total")
    long = bytes([TONE[1][0] | 3, 6]) + TONE[1][1:]
    said_s = flood(ear, long, 0.12, every_s=1 / 390, for_s=15.0)
    assert 15 <= ear.samples / 16_000 <= 1.5 * 15 + 4.1
    assert dropped() / 16_000 == pytest.approx(said_s - ear.samples / 16_000, abs=0.1)
    assert ear.uplink.quality()["dropped_ms"] == dropped() // 16


@pytest.mark.parametrize("payload", [DTX, b"\x4b\x06"])
def test_neither_do_silent_packets_nor_gaps_between_them(ear: Ear, payload: bytes) -> None:
    flood(ear, payload, 9.0, every_s=1 / 390, for_s=15.0)
    assert 15 - 2.3 <= ear.samples / 16_000 <= 1.5 * 15 + 4.1


def test_frames_of_2_5_ms_every_55_ms_do_not_stretch_the_call(ear: Ear) -> None:
    """A call of at most one hour lasted 22 hours."""
    short = bytes([28 << 3]) + bytes(20)
    flood(ear, short, 0.0025, every_s=0.055, for_s=60.0)
    assert ear.samples / 16_000 == pytest.approx(58, abs=0.3)
    runs = [item for item in ear.items if isinstance(item, SilenceRun)]
    assert len(runs) < 10 * 60


def test_nor_do_short_frames_behind_holes(ear: Ear) -> None:
    short = bytes([28 << 3]) + bytes(20)
    flood(ear, short, 0.0025, every_s=0.015, for_s=60.0, seq_step=2)
    assert ear.samples / 16_000 > 57.5


def test_speech_that_the_network_held_up_for_three_seconds_is_heard(ear: Ear) -> None:
    ear.uplink.begin(0.0)
    for n in range(1_000):
        now = n * 0.02
        for late in range(n - 150, n + 1) if n % 500 == 150 else () if n % 500 < 150 else (n,):
            ear.hear(late, TONE[late % 100], now)
        ear.uplink.tick(now)
    ear.check()
    assert ear.uplink.quality() == {"lost_packets": 0, "late_packets": 0, "concealed_ms": 0, "dropped_ms": 0}
    assert sum(isinstance(item, AudioFrame) for item in ear.items) == 1_000


def test_a_caller_whose_clock_is_slow_is_not_interrupted_for_an_hour() -> None:
    ear = Ear()
    ear.uplink.begin(0.0)
    for n in range(180_000):
        ear.uplink.on_packet(Packet(n & 0xFFFF, n * 960 & 0xFFFFFFFF, DTX), n * 0.020_004)
        ear.uplink.tick(n * 0.020_004)
    assert ear.samples == 180_000 * FRAME


def flood(ear: Ear, payload: bytes, claimed_s: float, every_s: float, for_s: float, seq_step: int = 1) -> float:
    """Packets that claim to last `claimed_s` each, and a tick every 20 ms. Returns the seconds that they claimed."""
    ear.uplink.begin(0.0)
    sent = tick = 0
    while sent * every_s < for_s:
        now = sent * every_s
        while tick * 0.02 <= now:
            ear.uplink.tick(tick * 0.02)
            tick += 1
        timestamp = round(sent * claimed_s * 48_000) & 0xFFFFFFFF
        ear.uplink.on_packet(Packet(sent * seq_step & 0xFFFF, timestamp, payload), now)
        sent += 1
    ear.check()
    return sent * claimed_s


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 70),
            st.sampled_from([TONE[3], TONE[9], DTX, b"", b"\x03\x00", b"\xff" * 40]),
            st.sampled_from([0.0, 0.005, 0.02, 0.07, 0.5]),
        ),
        max_size=60,
    )
)
def test_whatever_comes_the_time_line_has_no_gap(arrivals: list[tuple[int, bytes, float]]) -> None:
    ear = Ear()
    ear.uplink.begin(0.0)
    now = 0.0
    for n, payload, wait_s in arrivals:
        now += wait_s
        ear.uplink.tick(now)
        ear.hear(n, payload, now)
    ear.uplink.tick(now + 1)
    ear.uplink.tick(now + 2)
    ear.check()
    assert ear.samples >= (now + 2 - 0.1) * 16_000 * 0.9 - 71 * FRAME
    assert ear.samples <= (1.5 * (now + 2) + 4.2) * 16_000
