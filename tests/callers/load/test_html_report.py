import re
from html.parser import HTMLParser

import pytest

from callers.load.gate import compare, read_gate
from callers.load.html_report import html_report
from callers.load.report_plots import time_plots
from callers.load.results import LoadReport, Point
from tests.callers.load.sample_report import sample_report
from tests.callers.load.stages import stage

_HOSTILE = '<script>alert("x")</script>&\'"'
_VOID = {"meta", "br"}


@pytest.fixture(scope="module")
def report() -> LoadReport:
    return sample_report()


class _Balance(HTMLParser):
    """Checks that elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _tags(page: str) -> set[str]:
    balance = _Balance()
    balance.feed(page)
    assert not balance.open
    return balance.seen


def test_the_page_stands_alone(report: LoadReport) -> None:
    page = html_report(report, compare(report, read_gate({"setup_p95_ms": 1, "mos_min": 4}, "gate.yaml")))
    assert not _tags(page) & {"script", "link", "img", "iframe", "object", "base"}
    assert not re.search(r"(src|href|url)\s*[=(]", page)
    assert "@import" not in page


def test_each_plot_has_a_title_a_description_and_its_figures_as_a_table(report: LoadReport) -> None:
    page = html_report(report)
    plots = page.count('role="img"')
    assert plots > 15
    assert page.count("<desc>") == plots
    assert page.count("<details>") == plots - 1  # the bars' figures are in their description and the table of levels


def test_the_knee_is_marked(report: LoadReport) -> None:
    page = html_report(report)
    assert report.knee is not None
    assert f"Carries {report.knee.callers} callers well" in page
    assert report.knee.reason in page
    assert f"knee: {report.knee.callers}" in page
    assert 'class="bad"' in page


def test_plots_over_time_are_tinted_while_more_callers_are_there_than_the_knee_has(report: LoadReport) -> None:
    wanted = (10, 20, 20, 5, 20)
    points = [Point(at_s=at_s, callers_wanted=count, callers_connected=5) for at_s, count in enumerate(wanted)]
    assert report.knee is not None
    knee = report.knee.model_copy(update={"callers": 15})
    (plot, *_) = time_plots(report.model_copy(update={"series": points, "knee": knee, "duration_s": 5.0}))
    assert plot.beyond == [(1, 3), (4, 4)]


def test_text_from_the_server_stays_text() -> None:
    hostile = sample_report(first=100, most=200)
    page = html_report(
        hostile.model_copy(
            update={
                "agent": _HOSTILE,
                "target_url": _HOSTILE,
                "parameters": {_HOSTILE: _HOSTILE},
                "stages": [stage.model_copy(update={"errors": {_HOSTILE: 3}}) for stage in hostile.stages],
            }
        )
    )
    assert "script" not in _tags(page)
    assert _HOSTILE not in page


def test_a_run_that_measured_nothing_has_a_page_too() -> None:
    empty = LoadReport(target_url="x", agent="a", scenario="steady", began="2026-01-01T00:00:00Z", duration_s=0.0)
    assert "Carried 0 callers" in html_report(empty)
    _tags(html_report(empty))


def test_a_run_with_one_level_has_no_plots_by_level_and_no_knee() -> None:
    one = LoadReport(
        target_url="x", agent="a", scenario="steady", began="2026-01-01T00:00:00Z", duration_s=9.0, stages=[stage(10)]
    )
    page = html_report(one)
    _tags(page)
    assert "By level" not in page
    assert "connected, of 10" in page


def test_callers_that_were_the_limit_are_said_so(report: LoadReport) -> None:
    assert "were the limit" not in html_report(report)
    assert "were the limit" in html_report(report.model_copy(update={"callers_were_the_limit": True}))


def test_a_server_that_carries_nobody_is_told_so(report: LoadReport) -> None:
    assert report.knee is not None
    nobody = report.model_copy(update={"knee": report.knee.model_copy(update={"callers": 0, "bad_callers": 20})})
    page = html_report(nobody)
    _tags(page)
    assert "Saturated already at 20 callers" in page
