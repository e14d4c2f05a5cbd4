"""The report as lines for the terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence

from callers.load.gate import Result
from callers.load.plot import number
from callers.load.results import LoadReport
from callers.load.verdict import COLUMNS, at_the_knee, cards, caution, facts, headline, rows
from shared.terminal_text import escaped

_SHORT = {"Connected": "conn.", "concealed": "conc."}
_MOST_CODES = 8


def text_report(report: LoadReport, gate: Sequence[Result] = ()) -> Iterator[str]:
    yield headline(report)
    if report.knee is not None:
        yield escaped(report.knee.reason)
    if (warning := caution(report)) is not None:
        yield warning
    yield "  ".join(f"{name} {escaped(value)}" for name, value in facts(report)[:6])
    yield ""
    yield from _table(report)
    stage = at_the_knee(report)
    if stage is not None:
        yield ""
        for card in cards(report, stage):
            yield f"{card.name:<18} {card.value:>7} {card.unit:<8} {escaped(card.aside)}".rstrip()
    yield from _errors(report)
    yield from _gate(gate)


def _table(report: LoadReport) -> Iterator[str]:
    """A level beyond the knee has a mark."""
    found = rows(report)
    names = [_SHORT.get(name, name) for _, group in COLUMNS for name in group]
    widths = [max([len(name), *(len(row.cells[index]) for row in found)]) for index, name in enumerate(names)]
    titles, first = "", 0
    for title, group in COLUMNS:
        width = sum(widths[first : first + len(group)]) + 2 * len(group)
        short = len(title) + 2 - width
        if short > 0:
            widths[first] += short
            width += short
        titles += f"{title:>{width}}"
        first += len(group)
    yield titles.rstrip()
    yield "".join(f"  {name:>{width}}" for name, width in zip(names, widths, strict=True))
    for row in found:
        cells = "".join(f"  {cell:>{width}}" for cell, width in zip(row.cells, widths, strict=True))
        yield escaped(f"!{cells[1:]}" if row.is_bad else cells)


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
