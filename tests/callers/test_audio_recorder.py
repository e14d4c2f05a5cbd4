import numpy as np
import pytest

from callers.audio_recorder import AudioRecorder
from callers.recording import Recording
from media_worker.opus import Encoder

RATE = 16_000
FRAME = RATE // 50
FIRST_SEQ = 65_534
FIRST_TIMESTAMP = 2**32 - 1_000
Packet = tuple[int, int, bytes, float]


@pytest.fixture
def packets() -> list[Packet]:
    """A second of a tone: sequence number and timestamp wrap, and the n-th arrives when it should."""
    encoder = Encoder(RATE, 32_000, 5)
    pcm = (8_000 * np.sin(np.arange(RATE) / 3)).astype(np.int16)
    return [
        (
            (FIRST_SEQ + n) & 0xFFFF,
            (FIRST_TIMESTAMP + n * 960) & 0xFFFFFFFF,
            encoder.encode(pcm[n * FRAME : (n + 1) * FRAME].tobytes()),
            5.0 + n * 0.02,
        )
        for n in range(50)
    ]


def listened(packets: list[Packet]) -> Recording:
    line = Recording(RATE)
    ear = AudioRecorder(line)
    for packet in packets:
        ear.take(*packet)
    return line


def test_a_packets_position_is_its_timestamp(packets: list[Packet]) -> None:
    line = listened(packets)
    assert line.sound_s(0.0) == pytest.approx(1.0, abs=0.03)
    assert len(line.samples()) == RATE


def test_a_gap_that_was_not_sent_is_silence(packets: list[Packet]) -> None:
    later = [(seq, (stamp + 48_000) & 0xFFFFFFFF, payload, at + 1) for seq, stamp, payload, at in packets[25:]]
    line = listened([*packets[:25], *later])
    assert line.silent_from(5.0, 10.0, for_s=0.5) == pytest.approx(5.5, abs=0.05)
    assert line.onset_after(5.6) == pytest.approx(6.5, abs=0.05)


def test_lost_packets_are_concealed_and_late_ones_dropped(packets: list[Packet]) -> None:
    line = listened([*packets[:20], *packets[22:30], packets[20], *packets[30:]])
    assert line.sound_s(0.0) == pytest.approx(1.0, abs=0.03)
    assert len(line.samples()) == RATE


def test_a_second_stream_goes_on_in_the_same_timeline(packets: list[Packet]) -> None:
    line = Recording(RATE)
    first, second = AudioRecorder(line), AudioRecorder(line)
    for packet in packets[:20]:
        first.take(*packet)
    for seq, stamp, payload, at in packets[30:]:
        second.take((seq + 999) & 0xFFFF, (stamp + 123_456) & 0xFFFFFFFF, payload, at)
    assert line.silent_from(5.0, 10.0, for_s=0.1) == pytest.approx(5.4, abs=0.03)
    assert line.onset_after(5.45) is None, "a gap of 0.2 s is a pause within speech"
    assert line.first_after(5.45) == pytest.approx(5.6, abs=0.03)
    assert len(line.samples()) == RATE


def test_a_second_stream_that_begins_too_early_overwrites_nothing(packets: list[Packet]) -> None:
    line = Recording(RATE)
    first, second = AudioRecorder(line), AudioRecorder(line)
    for packet in packets[:20]:
        first.take(*packet)
    for packet in packets[18:40]:
        second.take(*packet)
    assert len(line.samples()) == (20 + 22) * FRAME
