import numpy as np

from callers.rtp_caller import Received
from shared.audio import Pcm, as_samples
from tests.load.heard import RATE, Heard, Piece, play_out

FRAME = RATE // 50


def sound(seconds: float, seed: int = 1) -> Pcm:
    return (np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * 3_000).astype(np.int16)


def pieces(pcm: Pcm, began_s: float, delay_s: float) -> list[Piece]:
    """Frames that arrive `delay_s` after their last sample."""
    return [
        Piece(began_s + (at + FRAME) / RATE + delay_s, pcm[at : at + FRAME])
        for at in range(0, len(pcm) - FRAME + 1, FRAME)
    ]


def test_delays_are_those_of_the_sound() -> None:
    said = sound(4.0)
    delays = Heard(pieces(said, 100.0, 0.015)).delays(said, 100.0)
    assert len(delays) > 10
    assert all(abs(delay.delay_s - 0.015) < 1e-6 and delay.shift == 0 for delay in delays)


def test_a_gap_that_was_filled_leaves_a_lasting_lag() -> None:
    said = sound(6.0)
    early = pieces(said[: 2 * RATE], 0.0, 0.01)
    hole = [Piece(2.15, np.zeros(RATE // 10, np.int16))]
    late = pieces(said[2 * RATE :], 2.0, 0.11)
    delays = Heard([*early, *hole, *late]).delays(said, 0.0)
    assert round(delays[0].delay_s, 3) == 0.01
    assert round(delays[-1].delay_s, 3) == 0.11
    assert delays[-1].shift == RATE // 10


def test_what_is_not_the_sound_has_no_delay() -> None:
    assert Heard(pieces(sound(4.0, seed=2), 0.0, 0.01)).delays(sound(4.0), 0.0) == []


def test_a_receiver_conceals_what_is_lost_or_late_and_is_silent_where_nothing_was_sent() -> None:
    toc_only = bytes([27 << 3])  # 20 ms of nothing
    packets = [Received(0.02 * index, index, 960 * index, toc_only) for index in range(40)]
    packets[10] = packets[10]._replace(arrived_s=0.2 + 0.1)
    del packets[20]
    after_a_gap = [p._replace(arrived_s=p.arrived_s + 1, timestamp=p.timestamp + 48_000) for p in packets[30:]]
    played = play_out([*packets[:30], *after_a_gap])
    assert played.late == 1
    assert played.concealed_samples == 2 * FRAME
    assert len(played.heard.pcm) == 40 * FRAME + RATE


def test_pieces_are_kept_as_they_came() -> None:
    assert (Heard([Piece(0.0, as_samples(b"\1\0")), Piece(0.1, as_samples(b"\2\0\3\0"))]).pcm == [1, 2, 3]).all()
