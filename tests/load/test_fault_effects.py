from typing import Any

from tests.load.bench_report import BenchReport
from tests.load.counting_calls import CountingCall, Turn
from tests.load.fault_effects import LONG_OUTAGE, SHORT_OUTAGE, Run, add_row, add_unmeasured
from tests.load.faults import Fault
from tests.load.heard_words import HeardWord
from tests.load.tone_words import GAP_S, TONE_S, text_of

TEXT = text_of(4)
BROKEN_S, BACK_S = 100.0, 130.0


def call_with(*turns: Turn) -> CountingCall:
    call = CountingCall(0, [], "agent", TEXT, [])
    call.turns += turns
    return call


def words(first_s: float, *names: str) -> list[HeardWord]:
    return [HeardWord(name, first_s + number * (TONE_S + GAP_S)) for number, name in enumerate(names)]


def row_of(*turns: Turn, row: str = LONG_OUTAGE) -> tuple[dict[str, Any], BenchReport]:
    report = BenchReport("test")
    fault = Fault(row, BROKEN_S, [0], BACK_S)
    add_row(report, row, Run([fault], [call_with(*turns)], 0.0, 200.0), sessions_lost=0)
    return report.figures[0], report


def test_a_reply_that_goes_on_after_an_outage_has_lost_no_words() -> None:
    heard = [*words(BROKEN_S - 0.3, "w0", "w1"), *words(BACK_S + 0.4, "w2", "w3")]
    figures, _ = row_of(Turn(BROKEN_S - 1.5, heard, ended_s=150.0, is_whole=True))
    assert (figures["words"], figures["lost"], figures["doubled"], figures["broken_off"]) == (4, 0, 0, 0)
    assert 29.0 < figures["silence_p50_s"] < 31.0
    assert 0.3 < figures["after_return_p95_s"] < 0.5


def test_words_that_a_reply_had_begun_and_never_said_are_lost() -> None:
    figures, _ = row_of(Turn(BROKEN_S - 1.5, words(BROKEN_S - 0.3, "w0", "w1"), ended_s=150.0))
    assert (figures["words"], figures["lost"], figures["broken_off"]) == (4, 2, 1)


def test_a_question_that_nobody_could_hear_is_counted_apart() -> None:
    unheard, ignored = Turn(110.0, ended_s=136.0), Turn(BACK_S + 1.0, ended_s=160.0)
    figures, _ = row_of(unheard, ignored)
    assert (figures["words"], figures["lost"], figures["unheard"], figures["unanswered"]) == (0, 0, 1, 1)


def test_one_outage_is_too_few() -> None:
    _, report = row_of()
    assert [bar.name for bar in report.bars if not bar.holds] == [f"{LONG_OUTAGE}: faults"]


def test_a_row_that_was_left_out_holds_nothing() -> None:
    report = BenchReport("test")
    add_unmeasured(report, SHORT_OUTAGE)
    assert [(bar.value, bar.holds) for bar in report.bars] == 3 * [(None, False)]
