import pytest

from callers.load.tally import MOST_CODES, OTHER, Tally


def test_tallies_of_two_processes_are_one_measurement() -> None:
    ours, theirs = Tally(attempts=2), Tally(attempts=3)
    ours.add("set_up_ms", 100.0)
    theirs.add("set_up_ms", 300.0)
    theirs.add("mos", 4.2)
    theirs.fail("no_capacity")
    ours.merge(Tally.model_validate_json(theirs.model_dump_json()))
    total = ours.set_up.total_ms
    assert total is not None
    assert (total.count, total.lowest, total.highest) == (2, 100.0, 300.0)
    assert ours.audio.mos is not None
    assert (ours.attempts, ours.errors) == (5, {"no_capacity": 1})


def test_what_was_not_measured_is_absent() -> None:
    audio = Tally().audio
    assert (audio.loss_percent, audio.concealed_percent, audio.mouth_to_ear_ms) == (None, None, None)


def test_loss_that_comes_in_bursts_has_a_ratio_above_one() -> None:
    random = Tally(packets_expected=1000, packets_lost=100, loss_bursts=90)
    bursts = Tally(packets_expected=1000, packets_lost=100, loss_bursts=20)
    assert random.loss_percent == pytest.approx(10.0)
    assert random.burst_ratio == pytest.approx(1.0)
    assert bursts.burst_ratio == pytest.approx(4.5)


def test_a_server_that_invents_error_codes_does_not_fill_the_memory() -> None:
    tally = Tally()
    for number in range(3 * MOST_CODES):
        tally.fail(f"code_{number}")
    assert len(tally.errors) == MOST_CODES + 1
    assert tally.errors[OTHER] == 2 * MOST_CODES
    merged = Tally(errors={"mine": 1})
    merged.merge(tally)
    assert sum(merged.errors.values()) == 3 * MOST_CODES + 1
    Tally.model_validate_json(merged.model_dump_json())
