from typing import Any

from callers.load.gate import compare, read_gate
from callers.load.results import LoadReport, Stage
from callers.load.text_report import text_report
from tests.callers.load.sample_report import sample_report
from tests.callers.load.stages import stage

_RUN: dict[str, Any] = {"target_url": "", "agent": "a", "scenario": "steady", "began": "", "duration_s": 1.0}


def test_the_terminal_says_what_the_page_says() -> None:
    report = sample_report()
    assert report.knee is not None
    lines = list(
        text_report(report, compare(report, read_gate({"mos_min": 4.0, "knee_callers_min": 900}, "gate.yaml")))
    )
    assert lines[0] == f"Carries {report.knee.callers} callers well"
    assert lines[1] == report.knee.reason
    assert sum(line.startswith("!") for line in lines) == sum(
        stage.callers_wanted > report.knee.callers for stage in report.stages
    )
    assert any(line.startswith("FAIL  knee_callers_min") for line in lines)
    assert lines[-1] == "1 of 2 bounds hold"
    assert max(map(len, lines)) <= 160


def test_a_terminal_of_80_columns_shows_the_most_important_figures_of_each_level_in_a_line() -> None:
    lines = list(text_report(sample_report(), width=80))
    head = next(index for index, line in enumerate(lines) if line.lstrip().startswith("Callers  conn."))
    table = lines[head - 1 : lines.index("", head)]
    assert max(map(len, table)) <= 80
    for name in ("Set-up, ms", "Mouth to ear, ms", "MOS"):
        assert name in table[0]
    assert table[1].split()[-1] == "Errors"


def test_a_run_whose_callers_lost_the_server_does_not_read_like_a_good_one() -> None:
    def first_line(*stages: Stage) -> str:
        return next(text_report(LoadReport(**_RUN, stages=list(stages))))

    assert first_line(stage(4, connected=0)) == "Carried 0 of 4 callers"
    assert first_line(stage(4, connected=3, errors={"no_capacity": 1})) == "Carried 3 of 4 callers, with 1 error"
    assert first_line(stage(2), stage(4)) == "Carried 4 callers without an error"
    assert first_line() == "Carried 0 callers"


def test_the_figures_of_a_level_that_was_bad_for_a_moment_are_those_of_its_repetition() -> None:
    stages = [stage(10), stage(20, set_up_ms=900.0), stage(20, set_up_ms=90.0)]
    lines = list(text_report(LoadReport(**_RUN, stages=stages)))
    (card,) = [line for line in lines if line.startswith("Set-up, p95")]
    assert card.split()[2:4] == ["90", "ms"]


def test_an_error_code_cannot_command_the_terminal() -> None:
    hostile = stage(10, errors={"\x1b[2J": 3})
    report = LoadReport(
        target_url="\x1b]0;x\x07", agent="a", scenario="steady", began="", duration_s=1.0, stages=[hostile]
    )
    assert "\x1b" not in "".join(text_report(report))
