from callers.load.gate import compare, read_gate
from callers.load.results import LoadReport
from callers.load.text_report import text_report
from tests.callers.load.sample_report import sample_report
from tests.callers.load.stages import stage


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


def test_an_error_code_cannot_command_the_terminal() -> None:
    hostile = stage(10, errors={"\x1b[2J": 3})
    report = LoadReport(
        target_url="\x1b]0;x\x07", agent="a", scenario="steady", began="", duration_s=1.0, stages=[hostile]
    )
    assert "\x1b" not in "".join(text_report(report))
