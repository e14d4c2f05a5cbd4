"""The report as lines for the terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import wrap
from typing import NamedTuple

from callers.load.gate import Result
from callers.load.plot import number
from callers.load.results import LoadReport
from callers.load.verdict import COLUMNS, at_the_knee, cards, caution, facts, headline, rows
from shared.terminal_text import escaped

_SHORT = {"Connected": "conn.", "concealed": "conc."}
_LEAST_NEEDED = (
    ("", "Callers’ core"),
    ("", "Busiest process"),
    ("Set-up, ms", "p99"),
    ("Packets, %", "conc."),
    ("Mouth to ear, ms", "p50"),
    ("Jitter, ms", "p95"),
)
_MOST_CODES = 8


def text_report(report: LoadReport, gate: Sequence[Result] = (), width: int = 160) -> Iterator[str]:
    """The table of levels leaves out what matters least, so that it fits into `width` columns."""
    yield headline(report)
    if report.knee is not None:
        yield from _wrapped(report.knee.reason, width)
    if (warning := caution(report)) is not None:
        yield from _wrapped(warning, width)
    yield from _wrapped("; ".join(f"{name} {value}" for name, value in facts(report)), width)
    yield ""
    yield from _table(report, width)
    stage = at_the_knee(report)
    if stage is not None:
        yield ""
        for card in cards(report, stage):
            yield f"{card.name:<18} {card.value:>7} {card.unit:<8} {escaped(card.aside)}".rstrip()
    yield from _errors(report)
    yield from _gate(gate)


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(escaped(text), width, break_long_words=False, break_on_hyphens=False)


class _Column(NamedTuple):
    group: str
    name: str
    cells: list[str]

    @property
    def width(self) -> int:
        return 2 + max(map(len, (self.name, *self.cells)))


def _table(report: LoadReport, most: int) -> Iterator[str]:
    """A level beyond the knee has a mark."""
    found = rows(report)
    names = [(group, name) for group, names in COLUMNS for name in names]
    columns = [
        _Column(group, _SHORT.get(name, name), [row.cells[index] for row in found])
        for index, (group, name) in enumerate(names)
    ]
    for dispensable in _LEAST_NEEDED:
        if sum(_widths(columns)) > most:
            columns = [column for column in columns if (column.group, column.name) != dispensable]
    widths = _widths(columns)
    titles, end = "", 0
    for index, column in enumerate(columns):
        end += widths[index]
        if index + 1 == len(columns) or columns[index + 1].group != column.group:
            titles += f"{column.group:>{end - len(titles)}}"
    yield titles.rstrip()
    yield "".join(f"{column.name:>{width}}" for column, width in zip(columns, widths, strict=True))
    for number_of_row, row in enumerate(found):
        pairs = zip(columns, widths, strict=True)
        line = "".join(f"{column.cells[number_of_row]:>{width}}" for column, width in pairs)
        yield escaped(f"!{line[1:]}" if row.is_bad else line)


def _widths(columns: Sequence[_Column]) -> list[int]:
    """The first column of a group is as wide as the group's title needs."""
    widths = [column.width for column in columns]
    for title, members in groupby(range(len(columns)), lambda index: columns[index].group):
        indexes = list(members)
        widths[indexes[0]] += max(0, len(title) + 2 - sum(widths[index] for index in indexes))
    return widths


def _errors(report: LoadReport) -> Iterator[str]:
    codes: Counter[str] = Counter()
    for stage in report.stages:
        codes.update(stage.errors)
    if codes:
        frequent = ", ".join(f"{escaped(code)} {count:,}" for code, count in codes.most_common(_MOST_CODES))
        yield f"Errors of the run: {frequent}" + (", ..." if len(codes) > _MOST_CODES else "")


def _gate(results: Sequence[Result]) -> Iterator[str]:
    if not results:
        return
    yield ""
    width = max(len(result.name) for result in results)
    for result in results:
        value = "–" if result.value is None else number(result.value)
        mark = "ok  " if result.holds else "FAIL"
        yield f"{mark}  {result.name:<{width}}  {value:>8}  bound {number(result.bound)}  ({escaped(result.reason)})"
    yield f"{sum(result.holds for result in results)} of {len(results)} bounds hold"
