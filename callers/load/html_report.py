"""The report as one HTML file: no scripts, nothing loaded from elsewhere, all text escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from callers.load.gate import Result
from callers.load.plot import Plot, number, svg
from callers.load.report_plots import level_plots, time_plots
from callers.load.report_style import STYLE
from callers.load.results import LoadReport, Stage
from callers.load.set_up_bars import set_up_bars
from callers.load.verdict import COLUMNS, at_the_knee, cards, caution, facts, headline, rows

_MOST_ROWS = 40
"""Of the table behind a plot."""
_NOTES = (
    "Percentiles are within 1 %. Set-up is from the first connection to DTLS. Mouth to ear is the whole way from the "
    "caller's mouth to the caller's ear through the echo agent, without a receive buffer.",
    "MOS is estimated by the E-model (ITU-T G.107, narrowband scale, best 4.41) from mouth to ear plus a receive "
    "buffer of 60 ms, concealed packets and bursts, with Ie = 0 and Bpl = 25.1 for Opus. "
    "It does not judge voices or answers.",
    "The knee is the highest level at which set-up and lateness had not doubled against the median of the first levels "
    "and neither errors nor loss appeared.",
)


def html_report(report: LoadReport, gate: Sequence[Result] = ()) -> str:
    title = f"Load report: {headline(report)}"
    body = [
        _header(report),
        _cards(report),
        _gate(gate) if gate else "",
        _levels(report),
        _set_up(report.stages, report),
        _plots(
            "By level",
            "Each dot is a level of load. Beyond the dashed line, the server was saturated.",
            level_plots(report),
        ),
        _plots("Over time", _time_words(report), time_plots(report)),
        "<footer>",
        *(f"<p>{escape(note)}</p>" for note in _NOTES),
        "</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _header(report: LoadReport) -> str:
    said = "".join(f"<div>{escape(name)} <span>{escape(value)}</span></div>" for name, value in facts(report))
    reason = f'<p class="lead">{escape(report.knee.reason)}</p>' if report.knee else ""
    warning = caution(report)
    note = f'<p class="note" role="note">{escape(warning)}</p>' if warning else ""
    return (
        f'<header><p class="label">Antiphon load report</p><h1>{escape(headline(report))}</h1>{reason}'
        f'<div class="facts">{said}</div></header>{note}'
    )


def _cards(report: LoadReport) -> str:
    found = at_the_knee(report)
    if found is None:
        return ""
    shown = cards(report, found)
    parts = (
        f'<div class="card"><dt>{escape(card.name)}</dt><dd class="value">{escape(card.value)}'
        f' <small>{escape(card.unit)}</small></dd><dd class="aside">{escape(card.aside)}</dd></div>'
        for card in shown
    )
    return f'<dl class="cards{" many" if len(shown) > 6 else ""}">{"".join(parts)}</dl>'


def _gate(results: Sequence[Result]) -> str:
    body = (
        f'<tr><th scope="row" class="words">{escape(result.name)}</th>'
        f"<td>{'–' if result.value is None else number(result.value)}</td><td>{number(result.bound)}</td>"
        f'<td class="words {"holds" if result.holds else "fails"}">{"holds" if result.holds else "fails"}</td>'
        f'<td class="words">{escape(result.reason)}</td></tr>'
        for result in results
    )
    words = f"{sum(result.holds for result in results)} of {len(results)} bounds hold."
    head = (
        '<th class="words">Figure</th><th>Measured</th><th>Bound</th><th class="words">Gate</th><th class="words"></th>'
    )
    return _section("Gate", words) + _sheet("Gate", head, body)


def _levels(report: LoadReport) -> str:
    found = rows(report)
    if not found:
        return ""
    groups = "".join(f'<th colspan="{len(names)}" scope="colgroup">{escape(group)}</th>' for group, names in COLUMNS)
    names = "".join(f'<th scope="col">{escape(name)}</th>' for _, names in COLUMNS for name in names)
    body = (
        f'<tr class="{"bad" if row.is_bad else "good"}"><th scope="row">{escape(row.cells[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row.cells[1:])
        + "</tr>"
        for row in found
    )
    words = "In the order of the run. The last two columns are shares of a core."
    if any(row.is_bad for row in found):
        words += " Tinted levels are beyond the knee."
    return _section("Levels", words) + _sheet("Levels", f"{groups}</tr><tr>{names}", body, "levels")


def _set_up(stages: Sequence[Stage], report: LoadReport) -> str:
    bars = set_up_bars(stages)
    return _section("Set-up, part by part", "Medians of each part, in ms, by number of callers.") + bars if bars else ""


def _plots(title: str, words: str, plots: Sequence[Plot]) -> str:
    if not plots:
        return ""
    return _section(title, words) + f'<div class="plots">{"".join(_figure(plot) for plot in plots)}</div>'


def _figure(plot: Plot) -> str:
    keys = "".join(
        f'<span class="key"><svg viewBox="0 0 18 8" aria-hidden="true"><g class="line {line.style}">'
        f'<path d="M1 4H17"/></g></svg>{escape(line.name)}</span>'
        for line in plot.lines
    )
    unit = f" <small>{escape(plot.unit)}</small>" if plot.unit else ""
    return (
        f"<figure><figcaption><b>{escape(plot.title)}{unit}</b>{keys if len(plot.lines) > 1 else ''}</figcaption>"
        f"{svg(plot)}{_table_behind(plot)}</figure>"
    )


def _table_behind(plot: Plot) -> str:
    """The plot's figures for those who cannot see it."""
    columns = [dict(line.points) for line in plot.lines]
    xs = sorted({x for column in columns for x in column})
    step = -(-len(xs) // _MOST_ROWS)
    head = f"<th>{escape(plot.x_unit)}</th>" + "".join(f"<th>{escape(line.name)}</th>" for line in plot.lines)
    body = (
        f'<tr><th scope="row">{number(x)}</th>'
        + "".join(f"<td>{'–' if (y := column.get(x)) is None else number(y)}</td>" for column in columns)
        + "</tr>"
        for x in xs[::step]
    )
    return f"<details><summary>Figures</summary><div>{_table(plot.title, head, body)}</div></details>"


def _time_words(report: LoadReport) -> str:
    words = (
        "Each point is the highest of a second, or of some seconds of a long run; faint lines are where levels begin."
    )
    return words + (" Tinted levels are beyond the knee." if report.knee else "")


def _section(title: str, words: str) -> str:
    return f"<h2>{escape(title)}</h2><p>{escape(words)}</p>"


def _sheet(label: str, head: str, body: Iterable[str], style: str = "") -> str:
    name = escape(label)
    return (
        f'<div class="sheet {style}" tabindex="0" role="region" aria-label="{name}">{_table(label, head, body)}</div>'
    )


def _table(label: str, head: str, body: Iterable[str]) -> str:
    return f'<table aria-label="{escape(label)}"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
