"""A report in a few words and figures, for the terminal and the HTML page alike."""

from typing import NamedTuple

from callers.load.plot import number
from callers.load.results import LoadReport, Spread, Stage, percentile
from callers.load.saturation import callers_limit

NOT_MEASURED = "–"
_UNITS = {"_per_s": " per s", "_ms": " ms", "_s": " s", "_percent": " %"}


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
    most = max(report.stages, key=lambda stage: (stage.callers_connected, stage.callers_wanted), default=None)
    errors = sum(stage.error_count for stage in report.stages)
    if most is None or most.callers_connected < most.callers_wanted:
        told = f"{most.callers_connected:,} of {most.callers_wanted:,} callers" if most else "0 callers"
        return f"Carried {told}" + (f", with {_counted(errors, 'error')}" if errors else "")
    told = _counted(most.callers_connected, "caller")
    return f"Carried {told}" + (f", with {_counted(errors, 'error')}" if errors else " without an error")


def facts(report: LoadReport) -> list[tuple[str, str]]:
    environment = report.environment
    processes = "1 process" if environment.processes == 1 else f"{environment.processes:,} processes"
    where = f"{processes} on {_counted(max(1, len(environment.hosts)), 'host')}"
    told = [
        ("target", report.target_url),
        ("agent", report.agent),
        ("scenario", report.scenario),
        ("began", report.began.replace("T", " ").replace("Z", " UTC").replace("+00:00", " UTC")),
        ("took", duration(report.duration_s)),
        ("from", where),
    ]
    return told + [_stated(name, value) for name, value in report.parameters.items() if value is not None]


def _stated(name: str, value: str | float | bool) -> tuple[str, str]:
    """`delay_ms`, 50.0 as `delay`, `50 ms`."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix).replace("_", " "), text + unit
    return name.replace("_", " "), text


def caution(report: LoadReport) -> str | None:
    """If the callers were the limit: why, and what to do."""
    if not report.callers_were_the_limit:
        return None
    reasons = (callers_limit(stage.callers) for stage in reversed(report.stages))
    reason = next((f": {reason}" for reason in reasons if reason is not None), "")
    return f"The callers themselves were the limit{reason}. The server may do better: use more processes or hosts."


def at_the_knee(report: LoadReport) -> Stage | None:
    """The highest level that was good, as measured last, whose figures stand for the run; else the highest."""
    tried = [stage for stage in report.stages if stage.callers_wanted]
    good = [stage for stage in tried if report.knee is None or stage.callers_wanted <= report.knee.callers]
    return max(reversed(good or tried), key=lambda stage: stage.callers_wanted, default=None)


def cards(report: LoadReport, stage: Stage) -> list[Card]:
    """What was measured of `stage`, which is `at_the_knee`."""
    audio = stage.audio
    at = f"at {_counted(stage.callers_wanted, 'caller')}"
    total = sum(level.error_count for level in report.stages)
    mos, loss = percentile(audio.mos, "p05"), audio.loss_percent
    found = [
        _load(report, stage),
        _time("Set-up, p95", stage.set_up.total_ms, at),
        _time("First audio, p95", audio.first_audio_ms, at),
        _time("Barge-in stop, p95", audio.barge_in_stop_ms, at),
        _time("Mouth to ear, p95", audio.mouth_to_ear_ms, at),
        None if mos is None else Card("Quality", f"{mos:.2f}", "MOS", f"worst 5 % of calls, {at}"),
        None if loss is None else Card("Loss", number(loss), "%", at),
        _moves(report),
        Card("Errors", f"{stage.error_count:,}", "", f"{at}; {total:,} in the run"),
    ]
    return [card for card in found if card is not None]


COLUMNS = (
    ("", ("Callers", "Connected")),
    ("Set-up, ms", ("p50", "p95", "p99")),
    ("Mouth to ear, ms", ("p50", "p95")),
    ("Jitter, ms", ("p95",)),
    ("Packets, %", ("lost", "concealed")),
    ("MOS", ("p05",)),
    ("", ("Errors", "Busiest process", "Callers’ core")),
)
"""Of `rows`: groups, and the names in them. The last two are shares of a core."""


def rows(report: LoadReport) -> list[Row]:
    """One for each level, in the order of the run."""
    found = []
    for stage in report.stages:
        set_up, audio, mouth_to_ear = stage.set_up.total_ms, stage.audio, stage.audio.mouth_to_ear_ms
        cells = [
            f"{stage.callers_wanted:,}",
            f"{stage.callers_connected:,}",
            *(_whole(percentile(set_up, which)) for which in ("p50", "p95", "p99")),
            *(_whole(percentile(mouth_to_ear, which)) for which in ("p50", "p95")),
            _plain(percentile(audio.jitter_ms, "p95")),
            _plain(audio.loss_percent),
            _plain(audio.concealed_percent),
            _plain(percentile(audio.mos, "p05"), 2),
            f"{stage.error_count:,}",
            _busiest(stage),
            _share(stage.callers.busiest_core_share),
        ]
        found.append(Row(cells, report.knee is not None and stage.callers_wanted > report.knee.callers))
    return found


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _load(report: LoadReport, stage: Stage) -> Card:
    """The knee, or else how many callers there were."""
    knee = report.knee
    if knee is None:
        several = len({level.callers_wanted for level in report.stages}) > 1
        aside = "no level was too much" if several else f"connected, of {stage.callers_wanted:,}"
        return Card("Callers", f"{stage.callers_connected:,}", "", aside)
    limits = {
        "broker": "the broker",
        "capacity": "the capacity that the server counts",
        "callers": "the callers themselves",
        "host": "the host that all shared",
        "unknown": "what was not measured",
    }
    limit = limits.get(knee.resource, f"the {(knee.role or 'server').replace('_', ' ')}")
    return Card("Knee", f"{knee.callers:,}", "callers", f"limited by {limit}")


def _moves(report: LoadReport) -> Card | None:
    """Of the whole run: a rolling update knows no levels."""
    moves = sum(stage.moves for stage in report.stages)
    longest = max((spread.highest for stage in report.stages if (spread := stage.audio.move_silence_ms)), default=0.0)
    return Card("Moves", f"{moves:,}", "", f"silent for {number(longest)} ms at most") if moves else None


def _busiest(stage: Stage) -> str:
    roles = stage.server.roles if stage.server else {}
    name = max(roles, key=lambda role: roles[role].busiest_core_share, default=None)
    return NOT_MEASURED if name is None else f"{name.replace('_', ' ')} {_share(roles[name].busiest_core_share)}"


def _time(name: str, spread: Spread | None, at: str) -> Card | None:
    if spread is None:
        return None
    if spread.p95 >= 10_000:
        return Card(name, number(spread.p95 / 1000), "s", at)
    return Card(name, f"{spread.p95:,.0f}", "ms", at)


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _whole(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def _plain(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return NOT_MEASURED
    return number(value) if digits is None else f"{value:.{digits}f}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
