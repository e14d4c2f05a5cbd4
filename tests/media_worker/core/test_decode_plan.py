import random

import pytest

from media_worker.core.decode_plan import Conceal, Decode, DecodeFec, DecodePlan, Silence, Step
from media_worker.core.jitter import Ordered, Packet

TICKS = 960
FRAME = 320
VOICE = b"voice"
DTX = b"\x08"


class Sender:
    """Packets of a caller's sample clock, as the jitter buffer hands them out."""

    def __init__(self, plan: DecodePlan, first_timestamp: int = 0) -> None:
        self.plan = plan
        self.timestamp = first_timestamp

    def send(self, now: float, payload: bytes = VOICE, missing: int = 0) -> list[Step]:
        packet = Packet(0, self.timestamp & 0xFFFFFFFF, payload)
        self.timestamp += TICKS
        return self.plan.on_packet(Ordered(packet, missing), TICKS, now)

    def skip(self, frames: int) -> None:
        self.timestamp += frames * TICKS


@pytest.fixture
def plan() -> DecodePlan:
    return DecodePlan()


@pytest.fixture
def sender(plan: DecodePlan) -> Sender:
    return Sender(plan)


def samples(steps: list[Step]) -> int:
    return sum(FRAME if isinstance(step, Decode) else step.samples for step in steps)


def test_packets_without_a_gap_are_decoded(sender: Sender) -> None:
    assert [sender.send(n * 0.02) for n in range(3)] == [[Decode(VOICE)]] * 3


def test_a_gap_without_loss_is_silence(sender: Sender) -> None:
    sender.send(0.0)
    sender.skip(4)
    assert sender.send(0.1) == [Silence(4 * FRAME), Decode(VOICE)]


def test_one_lost_packet_is_recovered_from_its_successor(sender: Sender) -> None:
    sender.send(0.0)
    sender.skip(1)
    assert sender.send(0.04, missing=1) == [DecodeFec(VOICE, FRAME), Decode(VOICE)]


def test_of_three_lost_packets_the_last_is_recovered_after_the_others_are_concealed(sender: Sender) -> None:
    sender.send(0.0)
    sender.skip(3)
    assert sender.send(0.08, missing=3) == [Conceal(2 * FRAME), DecodeFec(VOICE, FRAME), Decode(VOICE)]


def test_a_loss_at_the_end_of_a_pause_is_silence_then_recovery(sender: Sender) -> None:
    sender.send(0.0)
    sender.skip(20)
    assert sender.send(0.42, missing=1) == [Silence(19 * FRAME), DecodeFec(VOICE, FRAME), Decode(VOICE)]


def test_a_long_loss_is_silence_but_for_its_last_100_ms(sender: Sender) -> None:
    sender.send(0.0)
    sender.skip(50)
    steps = sender.send(1.02, missing=50)
    assert steps == [Silence(45 * FRAME), Conceal(4 * FRAME), DecodeFec(VOICE, FRAME), Decode(VOICE)]


def test_a_dtx_packet_is_silence(sender: Sender) -> None:
    sender.send(0.0)
    assert sender.send(0.02, DTX) == [Silence(FRAME)]
    sender.skip(19)
    assert sender.send(0.42, DTX) == [Silence(19 * FRAME), Silence(FRAME)]


def test_timestamps_wrap_around(plan: DecodePlan) -> None:
    sender = Sender(plan, 2**32 - TICKS)
    sender.send(0.0)
    sender.skip(2)
    assert sender.send(0.06) == [Silence(2 * FRAME), Decode(VOICE)]


def test_time_does_not_begin_before_the_caller_is_connected(plan: DecodePlan) -> None:
    assert plan.on_time(100.0) is None


def test_while_nothing_arrives_silence_is_emitted_up_to_60_ms_ago(plan: DecodePlan, sender: Sender) -> None:
    sender.send(10.0)
    assert plan.on_time(10.079) is None
    told = [plan.on_time(10 + n * 0.02) for n in range(4, 51)]
    total = sum(silence.samples for silence in told if silence)
    assert total == pytest.approx(0.94 * 16_000, abs=FRAME)


def test_silence_is_emitted_for_a_caller_who_never_sends(plan: DecodePlan) -> None:
    plan.begin(5.0)
    silence = plan.on_time(6.0)
    assert silence is not None
    assert silence.samples == pytest.approx(0.94 * 16_000, abs=1)


def test_silence_emitted_in_advance_is_subtracted_from_the_next_gap(plan: DecodePlan, sender: Sender) -> None:
    sender.send(0.0)
    told = plan.on_time(0.42)
    assert told is not None
    sender.skip(20)
    steps = sender.send(0.42)
    assert told.samples + samples(steps[:-1]) == 20 * FRAME
    assert steps[-1] == Decode(VOICE)


def test_speech_that_the_network_held_up_is_not_dropped(plan: DecodePlan, sender: Sender) -> None:
    sender.send(0.0)
    told = plan.on_time(0.5)
    assert told is not None
    burst = [sender.send(0.5) for _ in range(25)]
    assert burst == [[Decode(VOICE)]] * 25
    # The next pause gives back the surplus.
    sender.skip(50)
    assert samples(sender.send(1.5)[:-1]) == 50 * FRAME - told.samples


def test_a_packet_lost_after_a_network_stall_is_recovered(plan: DecodePlan, sender: Sender) -> None:
    sender.send(0.0)
    told = plan.on_time(0.5)
    assert told is not None
    sender.send(0.5)
    sender.skip(1)
    assert sender.send(0.5, missing=1) == [DecodeFec(VOICE, FRAME), Decode(VOICE)]
    sender.skip(3)
    assert sender.send(0.5, missing=3) == [DecodeFec(VOICE, FRAME), Decode(VOICE)]
    # The two frames that were not concealed are given back, and the next pause gives back the rest.
    sender.skip(50)
    assert samples(sender.send(1.5)[:-1]) == 50 * FRAME - (told.samples - 2 * FRAME)


def test_dtx_packets_absorb_the_surplus(plan: DecodePlan, sender: Sender) -> None:
    sender.send(0.0)
    told = plan.on_time(0.11)
    assert told is not None
    given_back = 0
    for n in range(5):
        given_back += FRAME - samples(sender.send(0.11 + n * 0.02, DTX))
    assert given_back == told.samples


def test_a_pause_so_long_that_the_sender_counts_as_new_is_not_taken_from_later_pauses(
    plan: DecodePlan, sender: Sender
) -> None:
    sender.send(0.0)
    assert plan.on_time(12.0) is not None
    sender.skip(600)
    assert sender.send(12.02) == [Decode(VOICE)]
    sender.skip(4)
    assert sender.send(12.12) == [Silence(4 * FRAME), Decode(VOICE)]


def test_the_wait_for_the_first_packet_is_not_taken_from_later_pauses(plan: DecodePlan, sender: Sender) -> None:
    plan.begin(0.0)
    assert plan.on_time(2.0) is not None
    assert sender.send(2.0) == [Decode(VOICE)]
    sender.skip(4)
    assert sender.send(2.1) == [Silence(4 * FRAME), Decode(VOICE)]


def test_after_a_restart_timestamps_may_begin_anywhere(plan: DecodePlan, sender: Sender) -> None:
    sender.send(0.0)
    plan.restart()
    sender.timestamp = 3_000_000_000
    assert sender.send(0.02) == [Decode(VOICE)]


def test_timestamps_that_jump_back_repeat_nothing_and_drop_nothing(sender: Sender) -> None:
    for n in range(10):
        sender.send(n * 0.02)
    sender.skip(-5)
    assert sender.send(0.2) == [Decode(VOICE)]
    assert sender.send(0.22) == [Decode(VOICE)]


def test_an_hour_of_talk_pauses_loss_and_jitter_does_not_drift() -> None:
    """Positions are the sender's clock plus the stalls of the network that no pause has given back yet."""
    chance = random.Random(7)
    plan = DecodePlan()
    sender = Sender(plan, 4_000_000_000)
    told, missing, tick, held_until_s, talking = 0, 0, 0, 0.0, True
    for n in range(180_000):
        sent_s = n * 0.02
        talking ^= chance.random() < 0.01
        speaks = talking or n % 20 == 0
        lost = chance.random() < 0.03
        if chance.random() < 0.001:
            held_until_s = sent_s + chance.uniform(0.05, 0.8)
        arrival_s = max(held_until_s, sent_s + 0.03)
        while tick * 0.02 < arrival_s:
            silence = plan.on_time(tick * 0.02)
            told += silence.samples if silence else 0
            tick += 1
        if not speaks:
            sender.skip(1)
        elif lost:
            sender.skip(1)
            missing += 1
        else:
            told += samples(sender.send(arrival_s, VOICE if talking else DTX, missing))
            missing = 0
            assert 0 <= told - (n + 1) * FRAME <= 3 * 16_000
    for last in range(tick, 3_608 * 50):
        silence = plan.on_time(last * 0.02)
        told += silence.samples if silence else 0
    sender.skip(400)
    told += samples(sender.send(3_608.0, DTX))
    assert told == 180_401 * FRAME


def test_the_short_way_takes_only_a_packet_without_a_gap(plan: DecodePlan, sender: Sender) -> None:
    assert not plan.accept_next(0, TICKS, 0.0)
    sender.send(0.0)
    assert plan.accept_next(TICKS, TICKS, 0.02)
    assert not plan.accept_next(TICKS, TICKS, 0.02)
    assert plan.on_time(0.09) is None
    sender.skip(3)
    assert sender.send(0.1) == [Silence(2 * FRAME), Decode(VOICE)]


def test_long_silence_comes_in_larger_steps_until_the_caller_speaks(plan: DecodePlan, sender: Sender) -> None:
    sender.send(0.0)
    told = [silence.samples for tick in range(1, 300) if (silence := plan.on_time(tick * 0.02)) is not None]
    assert max(told[:90]) < 700
    assert min(told[110:]) >= 1_600
    sender.send(6.0)
    assert plan.on_time(6.09) is not None, "after speech the steps are small again"
