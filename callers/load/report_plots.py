"""What the HTML report plots: figures by level, and over time."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from callers.load.plot import Line, Plot
from callers.load.results import LoadReport, Point, RoleLoad, ServerLoad, Spread, Stage, percentile

_STYLES = {"gateway": "c1", "media_worker": "c2", "pipeline_worker": "c3", "broker": "c4", "callers": "c5"}
_OTHER_STYLE = "c6"
_MOST_CODES = 5
"""The most frequent errors have a line of their own, the rest have one together."""


def level_plots(report: LoadReport) -> list[Plot]:
    """None if there was only one level."""
    stages = list({stage.callers_wanted: stage for stage in report.stages if stage.callers_wanted}.values())
    stages.sort(key=lambda stage: stage.callers_wanted)
    if len(stages) < 2:
        return []

    def line(name: str, style: str, figure: Callable[[Stage], float | None]) -> Line:
        return Line(name, [(float(stage.callers_wanted), figure(stage)) for stage in stages], style)

    def spread(figure: Callable[[Stage], Spread | None], style: str) -> list[Line]:
        return [
            line("p50", f"{style} thin", lambda stage: percentile(figure(stage), "p50")),
            line("p95", style, lambda stage: percentile(figure(stage), "p95")),
            line("p99", f"{style} thin dashed", lambda stage: percentile(figure(stage), "p99")),
        ]

    def role(name: str, figure: Callable[[RoleLoad], float | None]) -> Line:
        return line(_words(name), _style(name), lambda stage: _of_role(stage.server, name, figure))

    roles = _roles(stage.server for stage in stages)
    codes = _codes(stage.errors for stage in stages)
    scale = [
        ("Set-up", "ms", spread(lambda stage: stage.set_up.total_ms, "c1")),
        ("Mouth to ear", "ms", spread(lambda stage: stage.audio.mouth_to_ear_ms, "c3")),
        ("First audio of a reply", "ms", spread(lambda stage: stage.audio.first_audio_ms, "c2")),
        ("Barge-in: until the agent is silent", "ms", spread(lambda stage: stage.audio.barge_in_stop_ms, "c2")),
        ("Packets: how late they came", "ms", spread(lambda stage: stage.audio.packet_lateness_ms, "c4")),
        (
            "Loss",
            "%",
            [
                line("lost", "c2", lambda stage: stage.audio.loss_percent),
                line("concealed", "c5 dashed", lambda stage: stage.audio.concealed_percent),
            ],
        ),
        (
            "Quality (E-model)",
            "MOS",
            [
                line("median", "c1", lambda stage: percentile(stage.audio.mos, "p50")),
                line("worst 5 %", "c1 dashed", lambda stage: percentile(stage.audio.mos, "p05")),
            ],
        ),
        ("Errors", "", [line(code, style, _errors(members)) for code, style, members in codes]),
        (
            "Processor",
            "cores",
            [*(role(name, lambda load: load.cores) for name in roles), line("callers", "c5 dashed", _caller_cores)],
        ),
        (
            "Processor per caller",
            "% of a core",
            [line("all roles of the server", "c1", lambda stage: stage.core_percent_per_caller)],
        ),
        (
            "Busiest process",
            "% of its core",
            [
                *(role(name, lambda load: 100 * load.busiest_core_share) for name in roles),
                line("callers", "c5 dashed", lambda stage: 100 * stage.callers.busiest_core_share),
            ],
        ),
        ("Memory", "MB", [role(name, lambda load: load.memory_mb) for name in roles]),
        ("Event loop: how late it was", "ms", [role(name, lambda load: load.loop_lag_ms) for name in roles]),
        (
            "Hop through the broker, p99",
            "ms",
            [line("hop", "c4", lambda stage: stage.server.hop_p99_ms if stage.server else None)],
        ),
        (
            "Broker",
            "operations/s",
            [line("operations", "c4", lambda stage: stage.server.broker_operations_per_s if stage.server else None)],
        ),
    ]
    knee, most = report.knee, stages[-1].callers_wanted
    plots = (
        Plot(
            title,
            unit,
            _known(lines),
            "callers",
            knee=float(knee.callers) if knee else None,
            knee_words=f"knee: {knee.callers:,}" if knee else "",
            beyond=[(float(max(knee.callers, stages[0].callers_wanted)), float(most))] if knee else [],
            dots=True,
            from_y=1.0 if unit == "MOS" else 0.0,
        )
        for title, unit, lines in scale
    )
    return [plot for plot in plots if not plot.is_empty]


def time_plots(report: LoadReport) -> list[Plot]:
    unit, seconds = _time_unit(report.duration_s)
    series = report.series

    def line(name: str, style: str, figure: Callable[[Point], float | None]) -> Line:
        return Line(name, [(point.at_s / seconds, figure(point)) for point in series], style)

    def role(name: str, figure: Callable[[RoleLoad], float | None]) -> Line:
        return line(_words(name), _style(name), lambda point: _of_role(point.server, name, figure))

    roles = _roles(point.server for point in series)
    codes = _codes(point.errors for point in series)
    moved = any(point.moves for point in series)
    plots = [
        (
            "Callers",
            "",
            [
                line("wanted", "c5 dashed", lambda point: float(point.callers_wanted)),
                line("connected", "c1", lambda point: float(point.callers_connected)),
            ],
        ),
        (
            "Set-up",
            "ms",
            [
                line("p50", "c1 thin", lambda point: point.set_up_p50_ms),
                line("p95", "c2", lambda point: point.set_up_p95_ms),
            ],
        ),
        (
            "Mouth to ear",
            "ms",
            [
                line("p50", "c3 thin", lambda point: point.mouth_to_ear_p50_ms),
                line("p95", "c2", lambda point: point.mouth_to_ear_p95_ms),
            ],
        ),
        ("Loss", "%", [line("lost", "c2", lambda point: point.loss_percent)]),
        (
            "Moves to another peer connection",
            "",
            [line("moves", "c4", lambda point: float(point.moves))] if moved else [],
        ),
        ("Errors", "", [line(code, style, _errors(members)) for code, style, members in codes]),
        ("Processor", "cores", [role(name, lambda load: load.cores) for name in roles]),
        ("Memory", "MB", [role(name, lambda load: load.memory_mb) for name in roles]),
        ("Event loop: how late it was", "ms", [role(name, lambda load: load.loop_lag_ms) for name in roles]),
        (
            "Callers: how late their clock was, p95",
            "ms",
            [line("callers", "c5", lambda point: point.caller_lateness_p95_ms)],
        ),
        (
            "Callers: busiest process",
            "% of its core",
            [line("callers", "c5", lambda point: _times_100(point.callers_busiest_core_share))],
        ),
    ]
    beyond = [(begin / seconds, end / seconds) for begin, end in _beyond(report)]
    drawn = (
        Plot(
            title,
            what,
            _known(lines),
            unit,
            beyond=beyond,
            edges=[stage.began_s / seconds for stage in report.stages[1:]],
        )
        for title, what, lines in plots
    )
    return [plot for plot in drawn if not plot.is_empty]


def _beyond(report: LoadReport) -> list[tuple[float, float]]:
    """From when to when more callers were wanted than the knee has."""
    if report.knee is None:
        return []
    stretches: list[tuple[float, float]] = []
    began_s: float | None = None
    for point in report.series:
        is_beyond = point.callers_wanted > report.knee.callers
        if is_beyond and began_s is None:
            began_s = point.at_s
        elif not is_beyond and began_s is not None:
            stretches.append((began_s, point.at_s))
            began_s = None
    return stretches if began_s is None else [*stretches, (began_s, report.series[-1].at_s)]


def _of_role(server: ServerLoad | None, name: str, figure: Callable[[RoleLoad], float | None]) -> float | None:
    load = server.roles.get(name) if server else None
    return None if load is None else figure(load)


def _caller_cores(stage: Stage) -> float:
    return stage.callers.cores


def _times_100(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _errors(codes: Sequence[str]) -> Callable[[Stage | Point], float]:
    return lambda when: float(sum(when.errors.get(code, 0) for code in codes))


def _known(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line.known]


def _roles(loads: Iterable[ServerLoad | None]) -> list[str]:
    found = {role for load in loads if load for role in load.roles}
    return sorted(found, key=lambda role: (list(_STYLES).index(role) if role in _STYLES else len(_STYLES), role))


def _codes(errors: Iterable[dict[str, int]]) -> list[tuple[str, str, list[str]]]:
    """Name, style and codes of each line."""
    total: Counter[str] = Counter()
    for counts in errors:
        total.update(counts)
    frequent = [code for code, _ in total.most_common(_MOST_CODES)]
    rest = [code for code in total if code not in frequent]
    styles = ("c6", "c2", "c3", "c4", "c1")
    lines = [(code, styles[index], [code]) for index, code in enumerate(frequent)]
    return [*lines, ("other", "c5 dashed", rest)] if rest else lines


def _words(role: str) -> str:
    return role.replace("_", " ")


def _style(role: str) -> str:
    return _STYLES.get(role, _OTHER_STYLE)


def _time_unit(duration_s: float) -> tuple[str, float]:
    if duration_s > 3 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if duration_s > 300 else ("seconds", 1.0)
