import numpy as np
import pytest

from callers.load.marked_sound import PACKETS_PER_MARK, RATE, MarkListener, mark_at, marked
from callers.opus_packets import browser_packets
from shared.audio import Pcm


def babble(seconds: int) -> Pcm:
    """Loud sound with many pitches, as speech has."""
    times = np.arange(seconds * RATE) / RATE
    wave = sum(np.sin(2 * np.pi * pitch * times * (1 + 0.02 * np.sin(times))) for pitch in range(140, 3_000, 140))
    return np.asarray(wave * 1_000, np.int16)


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    return browser_packets(marked(babble(16)), RATE)


def test_every_mark_is_found_to_the_millisecond_and_nothing_else_is(packets: list[bytes]) -> None:
    listener = MarkListener()
    found = [(number, heard) for number, packet in enumerate(packets) if (heard := listener.hear(packet)) is not None]
    assert [pitch for _, (pitch, _) in found] == [0, 1, 2, 3, 4, 5, 6, 7] * 2
    delays_ms = [1000 * (number * 0.02 + offset_s - 0.8) % 1000 for number, (_, offset_s) in found]
    assert all(4 <= delay_ms <= 9 for delay_ms in delays_ms), f"the codec's own delay is 6.5 ms: {delays_ms}"


def test_a_mark_without_its_first_packet_is_found_later(packets: list[bytes]) -> None:
    listener = MarkListener()
    heard = [
        (number, found)
        for number, packet in enumerate(packets[: 2 * PACKETS_PER_MARK])
        if number != 90 and (found := listener.hear(packet)) is not None
    ]
    assert [pitch for _, (pitch, _) in heard] == [0, 1]


def test_marks_begin_with_the_packets_that_are_told(packets: list[bytes]) -> None:
    assert len(packets) == 16 * PACKETS_PER_MARK
    assert [packet for packet in range(len(packets)) if mark_at(packet) == 3] == [190, 590]


def test_speech_that_is_too_short_is_repeated() -> None:
    assert len(marked(babble(1))) == 8 * RATE
