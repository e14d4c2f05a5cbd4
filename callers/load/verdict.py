"""A report in a few words and figures, for the terminal and the HTML page alike."""

from typing import NamedTuple

from callers.load.plot import number
from callers.load.results import LoadReport, Spread, Stage, percentile

NOT_MEASURED = "–"


class Card(NamedTuple):
    name: str
    value: str
    unit: str
    aside: str


class Row(NamedTuple):
    cells: list[str]
    is_bad: bool
    """Beyond the knee."""


def headline(report: LoadReport) -> str:
    knee = report.knee
    if knee is not None and knee.callers == 0:
        return f"Saturated already at {knee.bad_callers:,} callers"
    if knee is not None:
        return f"Carries {knee.callers:,} callers well"
    most = max((stage.callers_connected for stage in report.stages), default=0)
    errors = sum(stage.error_count for stage in report.stages)
    return f"Carried {most:,} callers" + (f", with {_counted(errors, 'error')}" if errors else " without an error")


def facts(report: LoadReport) -> list[tuple[str, str]]:
    environment = report.environment
    where = f"{environment.processes} processes on {_counted(max(1, len(environment.hosts)), 'host')}"
    told = [
        ("target", report.target_url),
        ("agent", report.agent),
        ("scenario", report.scenario),
        ("began", report.began.replace("T", " ").replace("Z", " UTC")),
        ("took", duration(report.duration_s)),
        ("callers", where),
    ]
    return told + [
        (name.replace("_", " "), str(value)) for name, value in report.parameters.items() if value is not None
    ]


def at_the_knee(report: LoadReport) -> Stage | None:
    """The highest level that was good, whose figures stand for the run; else the highest."""
    tried = [stage for stage in report.stages if stage.callers_wanted]
    good = [stage for stage in tried if report.knee is None or stage.callers_wanted <= report.knee.callers]
    return max(good or tried, key=lambda stage: stage.callers_wanted, default=None)


def cards(report: LoadReport, stage: Stage) -> list[Card]:
    """`stage`: `at_the_knee`."""
    audio, knee = stage.audio, report.knee
    at = f"at {stage.callers_wanted:,} callers"
    total = sum(level.error_count for level in report.stages)
    return [
        Card("Knee", f"{knee.callers:,}" if knee else "none", "callers" if knee else "", _resource(report)),
        _time("Set-up, p95", stage.set_up.total_ms, at),
        _time("Mouth to ear, p95", audio.mouth_to_ear_ms, at),
        Card(
            "Quality", _plain(percentile(audio.mos, "p05"), 2), "MOS" if audio.mos else "", f"worst 5 % of calls, {at}"
        ),
        Card("Loss", _plain(audio.loss_percent), "%" if audio.loss_percent is not None else "", at),
        Card("Errors", f"{stage.error_count:,}", "", f"{at}; {total:,} in the run"),
    ]


def levels_table(report: LoadReport) -> tuple[list[str], list[Row]]:
    head = ["Callers", "Connected", "Set-up p50", "p95", "p99", "Mouth to ear p50", "p95", "Jitter p95"]
    head += ["Loss %", "Concealed %", "MOS p05", "Errors", "Busiest process", "Callers’ core"]
    rows = []
    for stage in report.stages:
        set_up, audio, mouth_to_ear = stage.set_up.total_ms, stage.audio, stage.audio.mouth_to_ear_ms
        cells = [f"{stage.callers_wanted:,}", f"{stage.callers_connected:,}"]
        cells += [_whole(percentile(set_up, which)) for which in ("p50", "p95", "p99")]
        cells += [_whole(percentile(mouth_to_ear, "p50")), _whole(percentile(mouth_to_ear, "p95"))]
        cells += [_plain(percentile(audio.jitter_ms, "p95")), _plain(audio.loss_percent)]
        cells += [_plain(audio.concealed_percent), _plain(percentile(audio.mos, "p05"), 2)]
        cells += [f"{stage.error_count:,}", _busiest(stage), f"{stage.callers.busiest_core_share:.0%}"]
        rows.append(Row(cells, report.knee is not None and stage.callers_wanted > report.knee.callers))
    return head, rows


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _resource(report: LoadReport) -> str:
    if report.knee is None:
        return "the server carries more than was tried"
    limits = {
        "broker": "limited by the broker",
        "capacity": "limited by the capacity that the server counts",
        "callers": "limited by the callers themselves",
        "host": "limited by the host that all shared",
        "unknown": "limited by what was not measured",
    }
    role = (report.knee.role or "server").replace("_", " ")
    return limits.get(report.knee.resource, f"limited by the {role}")


def _busiest(stage: Stage) -> str:
    roles = stage.server.roles if stage.server else {}
    name = max(roles, key=lambda role: roles[role].busiest_core_share, default=None)
    return NOT_MEASURED if name is None else f"{name.replace('_', ' ')} {roles[name].busiest_core_share:.0%}"


def _time(name: str, spread: Spread | None, at: str) -> Card:
    if spread is None:
        return Card(name, NOT_MEASURED, "", at)
    if spread.p95 >= 10_000:
        return Card(name, number(spread.p95 / 1000), "s", at)
    return Card(name, f"{spread.p95:,.0f}", "ms", at)


def _whole(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def _plain(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return NOT_MEASURED
    return number(value) if digits is None else f"{value:.{digits}f}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
