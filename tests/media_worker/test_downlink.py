import itertools
import time
from dataclasses import dataclass

import numpy as np
import pytest

from media_worker import opus, srtp
from media_worker.core.rtp import RtpHeader, parse_header
from media_worker.downlink import Downlink
from media_worker.opus import Decoder
from media_worker.srtp import SrtpCodec
from shared.audio import Pcm, as_samples
from shared.errors import ConfigError
from shared.frames import AudioFrame
from tests.fakes.counters import Gained
from tests.fakes.sounds import likeness, strength, tone
from tests.fakes.srtp_pair import srtp_pairs

SLOTS = 4
FIRST_TIMESTAMP = 2**32 - 5_000


@dataclass
class Sent:
    slot: int
    header: RtpHeader
    marker: bool
    payload: bytes

    @property
    def is_closing(self) -> bool:
        return len(self.payload) == 1


class Caller:
    """A downlink, its clock, and what the caller and the pipeline receive."""

    def __init__(self, cushion_ms: int = 40) -> None:
        ours, theirs = srtp_pairs()
        self._theirs = SrtpCodec(theirs)
        self.reports: list[tuple[int, str]] = []
        self.began_playing: list[tuple[int, float]] = []
        self.sent: list[Sent] = []
        self.slot = 0
        self.downlink = Downlink(77, 111, cushion_ms, 48_000, self._on_report)
        self.downlink.connect(SrtpCodec(ours), 0xFFFF, FIRST_TIMESTAMP)
        self.downlink.set_sender(self._receive)

    def push(self, pcm: Pcm, rate: int = 24_000, first: int = 0) -> bool:
        return self.downlink.push(AudioFrame("s1", 1, 0, first, rate, 1, pcm.astype("<i2").tobytes()))

    def ticks(self, count: int) -> list[Sent]:
        """What is sent in this many periods."""
        before = len(self.sent)
        for _ in range(count):
            self.downlink.tick(self.slot)
            self.slot += SLOTS
        return self.sent[before:]

    def _on_report(self, at: int, state: str, at_unix_ms: float | None) -> None:
        self.reports.append((at, state))
        if at_unix_ms is not None:
            self.began_playing.append((len(self.sent), at_unix_ms))

    def _receive(self, packet: bytes) -> None:
        size = self._theirs.unprotect(packet)
        plain = srtp.rx_buffer[0:size]
        header = parse_header(plain)
        assert header is not None
        self.sent.append(Sent(self.slot, header, plain[1] >= 128, plain[header.payload_start : header.payload_end]))


@pytest.fixture
def caller() -> Caller:
    return Caller()


def say(caller: Caller, seconds: float, first: int = 0, rate: int = 24_000) -> int:
    """A whole talkspurt; returns where the next begins."""
    pcm = tone(440, seconds, rate)
    caller.push(pcm, rate, first)
    caller.downlink.end_at(first + len(pcm))
    return first + len(pcm)


def test_agent_audio_arrives(caller: Caller) -> None:
    say(caller, 1.0)
    decoder = Decoder()
    heard = np.concatenate([as_samples(decoder.decode(s.payload)) for s in caller.ticks(50)])
    assert likeness(tone(440, 0.5, 16_000), heard[3_200:], largest_shift=200) > 0.98


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_any_rate_of_opus_is_sent_as_it_is(caller: Caller, rate: int) -> None:
    say(caller, 0.5, rate=rate)
    decoder = Decoder()
    heard = np.concatenate([as_samples(decoder.decode(s.payload)) for s in caller.ticks(25)])
    assert strength(heard[1_600:], 440, 16_000) > 0.9


def test_an_unsupported_rate_is_refused_and_changes_nothing(caller: Caller) -> None:
    with pytest.raises(ConfigError):
        caller.push(tone(440, 0.1, 22_050), 22_050)
    assert caller.downlink.is_idle
    say(caller, 0.1)
    assert len(caller.ticks(5)) == 5


def test_sequence_numbers_count_packets_and_begin_low(caller: Caller) -> None:
    first = say(caller, 0.2)
    caller.ticks(60)
    say(caller, 0.2, first)
    caller.ticks(20)
    seqs = [sent.header.seq for sent in caller.sent]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert seqs[0] == 0x8000, "half the range is left before the first wrap (RFC 3711 §3.3.1)"


def test_timestamps_go_on_through_gaps_and_wrap(caller: Caller) -> None:
    first = say(caller, 0.2)
    caller.ticks(60)
    say(caller, 0.2, first)
    caller.ticks(20)
    for sent in caller.sent:
        assert sent.header.timestamp == (FIRST_TIMESTAMP + sent.slot * 240) & 0xFFFFFFFF
        assert (sent.header.ssrc, sent.header.payload_type) == (77, 111)
    assert caller.sent[-1].header.timestamp < caller.sent[0].header.timestamp


def test_the_first_packet_of_each_talkspurt_is_marked_and_no_other(caller: Caller) -> None:
    caller.ticks(3)
    first = say(caller, 0.2)
    caller.ticks(40)
    say(caller, 0.2, first)
    caller.ticks(40)
    marked = [n for n, sent in enumerate(caller.sent) if sent.marker]
    assert len(marked) == 2
    assert all(caller.sent[n - 1].is_closing and not caller.sent[n].is_closing for n in marked)


def test_the_first_packet_after_running_dry_is_marked(caller: Caller) -> None:
    underruns = Gained("antiphon_media_underruns_total")
    caller.push(tone(440, 0.1, 24_000))
    caller.ticks(10)
    caller.push(tone(440, 0.1, 24_000), first=2_400)
    spoken = [sent for sent in caller.ticks(5) if not sent.is_closing]
    assert [sent.marker for sent in spoken] == [True, False, False, False, False]
    assert underruns() >= 1


def test_a_talkspurt_is_closed_by_a_packet_that_is_only_a_toc_byte(caller: Caller) -> None:
    say(caller, 0.2)
    talk = caller.ticks(12)  # and its tail
    (closing,) = caller.ticks(1)
    assert closing.payload == bytes([talk[-1].payload[0] & 0xFC])
    assert opus.packet_ticks(closing.payload) == 960
    assert not closing.marker


def test_in_silence_one_such_packet_goes_out_every_400_ms_and_nothing_else(caller: Caller) -> None:
    say(caller, 0.2)
    caller.ticks(12)
    silence = caller.ticks(101)
    assert all(sent.is_closing for sent in silence)
    assert [b.slot - a.slot for a, b in itertools.pairwise(silence)] == [20 * SLOTS] * 5


def test_an_abrupt_end_does_not_drone_in_a_decoder_that_conceals(caller: Caller) -> None:
    """A user heard a hum after a voice without a fade: a TOC byte alone makes libopus continue what it had last."""
    decoder = Decoder()
    caller.push(tone(440, 0.2, 24_000))
    caller.downlink.end_at(4_800)
    sent = caller.ticks(200)
    heard = [np.abs(as_samples(decoder.decode(each.payload))).max() for each in sent]
    loud = heard[5]
    assert loud > 1_000
    assert heard[10] > loud / 10, "the last sound comes out of the encoder's look-ahead"
    closing = [level for level, each in zip(heard, sent, strict=True) if each.is_closing]
    assert len(closing) > 5
    assert max(closing) < loud / 50


def test_before_the_agent_speaks_the_path_is_kept_open(caller: Caller) -> None:
    sent = caller.ticks(41)
    assert [each.is_closing for each in sent] == [True] * 3


def test_reports_cover_a_talkspurt_from_beginning_to_end(caller: Caller) -> None:
    say(caller, 0.5)
    caller.ticks(30)
    assert caller.reports[0] == (480, "playing")
    assert caller.reports[-1] == (12_000, "finished")
    positions = [at for at, _ in caller.reports]
    assert positions == sorted(positions)
    assert [state for _, state in caller.reports].count("finished") == 1
    assert len(caller.reports) == 6, "one for the first frame, one per 100 ms, and the end"


def test_the_start_of_playing_is_reported_after_its_first_packet(caller: Caller) -> None:
    before = time.time() * 1000
    end = say(caller, 0.5)
    caller.ticks(40)
    first_sent = next(n for n, each in enumerate(caller.sent, 1) if not each.is_closing)
    assert [sent for sent, _ in caller.began_playing] == [first_sent]
    say(caller, 0.17, first=end)
    caller.ticks(4)
    caller.downlink.pause()
    caller.ticks(10)
    caller.downlink.resume()
    caller.ticks(20)
    assert len(caller.began_playing) == 3, "once for each talkspurt, and after the pause"
    times = [before, *(at for _, at in caller.began_playing), time.time() * 1000]
    assert times == sorted(times)


def test_a_flush_is_answered_by_what_was_heard(caller: Caller) -> None:
    say(caller, 2.0)
    caller.ticks(5)
    caller.downlink.flush()
    caller.ticks(2)
    assert caller.reports[-1] == (5 * 480 + 120, "flushed")
    assert caller.downlink.is_idle
    assert [sent.is_closing for sent in caller.ticks(20)] == [False, True], "its tail, and its end"


def test_after_a_flush_nothing_of_the_old_talkspurt_is_heard(caller: Caller) -> None:
    say(caller, 2.0)
    caller.ticks(5)
    caller.downlink.flush()
    caller.ticks(3)
    decoder = Decoder()
    for sent in caller.sent:
        decoder.decode(sent.payload)
    assert all(sent.is_closing for sent in caller.ticks(60))


def test_a_pause_is_reported_and_resuming_continues_there(caller: Caller) -> None:
    end = say(caller, 0.4)
    caller.ticks(5)
    caller.downlink.pause()
    caller.ticks(40)
    assert caller.reports[-1] == (5 * 480, "paused")
    caller.downlink.resume()
    caller.ticks(40)
    assert caller.reports[-1] == (end, "finished")


def test_commands_before_any_audio_are_answered(caller: Caller) -> None:
    caller.downlink.flush()
    caller.downlink.pause()
    caller.downlink.resume()
    caller.downlink.restart()
    caller.downlink.end_at(0)
    assert caller.reports == [(0, "flushed"), (0, "finished")]


def test_push_says_whether_a_talkspurt_starts(caller: Caller) -> None:
    assert caller.push(tone(440, 0.1, 24_000))
    assert not caller.push(tone(440, 0.1, 24_000), first=2_400)


def test_what_is_sent_too_far_ahead_is_dropped_and_counted(caller: Caller) -> None:
    overflowed = Gained("antiphon_media_playout_overflow_samples_total")
    for second in range(12):
        caller.push(tone(440, 1, 24_000), first=second * 24_000)
    assert overflowed() == 48_000


def test_after_a_takeover_the_new_agents_first_sample_is_heard(caller: Caller) -> None:
    say(caller, 2.0)
    caller.ticks(10)
    caller.downlink.restart()
    end = say(caller, 0.2)
    caller.ticks(15)
    assert caller.reports[-1] == (end, "finished")


def test_a_changed_rate_begins_a_new_stream(caller: Caller) -> None:
    say(caller, 0.1)
    caller.ticks(10)
    end = say(caller, 0.1, rate=16_000)
    caller.ticks(10)
    assert caller.reports[-1] == (end, "finished")


def test_without_keys_nothing_is_sent() -> None:
    downlink = Downlink(77, 111, 40, 32_000, lambda *_: None)
    downlink.set_sender(lambda _: pytest.fail("sent without keys"))
    for slot in range(0, 400, SLOTS):
        downlink.tick(slot)
    assert downlink.sender_info() is None


def test_a_sender_report_relates_this_moment_to_its_timestamp(caller: Caller) -> None:
    """RFC 3550 §6.4.1: both times of a report mean the same instant, in silence too."""
    say(caller, 0.1)
    caller.ticks(15)
    info = caller.downlink.sender_info()
    assert info is not None
    assert info.rtp_timestamp == (FIRST_TIMESTAMP + (caller.slot - SLOTS) * 240) & 0xFFFFFFFF
    assert info.packets == len(caller.sent)
    assert info.octets == sum(len(sent.payload) for sent in caller.sent)


def test_lower_complexity_takes_effect_at_once(caller: Caller) -> None:
    caller.downlink.set_complexity(0)
    say(caller, 0.2)
    caller.downlink.set_complexity(10)
    assert len(caller.ticks(10)) == 10


def test_a_caller_who_moved_is_sent_to_the_new_address(caller: Caller) -> None:
    say(caller, 0.4)
    caller.ticks(5)
    moved: list[bytes] = []
    caller.downlink.set_sender(moved.append)
    before = len(caller.sent)
    caller.ticks(5)
    assert (len(caller.sent), len(moved)) == (before, 5)


def test_a_packet_may_follow_the_last_one_only_after_a_whole_frame(caller: Caller) -> None:
    assert caller.downlink.may_send_in(0)
    (closing,) = caller.ticks(1)
    allowed = [caller.downlink.may_send_in(closing.slot + later) for later in range(6)]
    assert allowed == [False, False, False, False, True, True]
