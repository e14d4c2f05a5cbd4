"""Bounds for a report, such as `setup_p95_ms: 500`, as the file of `--gate` has them."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from callers.load.results import LoadReport, Percentile, Spread, Stage, percentile
from shared.errors import ConfigError
from shared.validation_errors import explain

EXIT_NOT_MET = 1

_PERCENTILES: tuple[Percentile, ...] = ("p50", "p95", "p99")

_Figure = Callable[[Stage], float | None]


def _percentile(figure: Callable[[Stage], Spread | None], which: Percentile) -> _Figure:
    return lambda stage: percentile(figure(stage), which)


def _percentiles() -> Iterator[tuple[str, _Figure]]:
    spreads: Mapping[str, Callable[[Stage], Spread | None]] = {
        "setup": lambda stage: stage.set_up.total_ms,
        "connect": lambda stage: stage.set_up.connect_ms,
        "place": lambda stage: stage.set_up.place_ms,
        "sdp": lambda stage: stage.set_up.sdp_ms,
        "ice": lambda stage: stage.set_up.ice_ms,
        "dtls": lambda stage: stage.set_up.dtls_ms,
        "setup_first_audio": lambda stage: stage.set_up.first_audio_ms,
        "first_audio": lambda stage: stage.audio.first_audio_ms,
        "barge_in_stop": lambda stage: stage.audio.barge_in_stop_ms,
        "mouth_to_ear": lambda stage: stage.audio.mouth_to_ear_ms,
        "jitter": lambda stage: stage.audio.jitter_ms,
        "packet_lateness": lambda stage: stage.audio.packet_lateness_ms,
        "move_silence": lambda stage: stage.audio.move_silence_ms,
        "caller_lateness": lambda stage: stage.callers.lateness_ms,
    }
    for name, spread in spreads.items():
        for which in _PERCENTILES:
            yield f"{name}_{which}_ms", _percentile(spread, which)


def _highest_loop_lag(stage: Stage) -> float | None:
    roles = stage.server.roles.values() if stage.server else ()
    return max((role.loop_lag_ms for role in roles if role.loop_lag_ms is not None), default=None)


AT_MOST: Mapping[str, _Figure] = {
    **dict(_percentiles()),
    "loss_percent": lambda stage: stage.audio.loss_percent,
    "concealed_percent": lambda stage: stage.audio.concealed_percent,
    "errors": lambda stage: float(stage.error_count),
    "error_percent": lambda stage: stage.error_percent,
    "loop_lag_ms": _highest_loop_lag,
    "core_percent_per_caller": lambda stage: stage.core_percent_per_caller,
    "hop_p99_ms": lambda stage: stage.server.hop_p99_ms if stage.server else None,
}
AT_LEAST: Mapping[str, _Figure] = {
    "mos_min": _percentile(lambda stage: stage.audio.mos, "p05"),
    "mos_p50_min": _percentile(lambda stage: stage.audio.mos, "p50"),
    "connected_percent_min": lambda stage: 100 * stage.callers_connected / max(1, stage.callers_wanted),
}
KNEE = "knee_callers_min"
_STAGE_FIGURES = (*AT_MOST, *AT_LEAST)

_Bound = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class Gate(BaseModel):
    """`bounds` hold at each level up to the knee, those `at` a number of callers at that level too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bounds: dict[str, _Bound] = {}
    at: dict[Annotated[int, Field(gt=0)], dict[str, _Bound]] = {}
    knee_callers_min: Annotated[int, Field(gt=0, strict=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            raise ValueError("expected figures and their bounds: write lines such as `setup_p95_ms: 500`")
        bounds = {name: bound for name, bound in written.items() if name not in ("at", KNEE)}
        at = written.get("at") or {}
        inner = list(at.values()) if isinstance(at, dict) else []
        for mapping in (bounds, *(mapping for mapping in inner if isinstance(mapping, dict))):
            for name in mapping:
                if name not in _STAGE_FIGURES:
                    raise ValueError(_no_such_figure(str(name)))
        if not bounds and not inner and KNEE not in written:
            raise ValueError("has no bound: write at least one, such as `setup_p95_ms: 500`")
        return {"bounds": bounds, "at": at, KNEE: written.get(KNEE)}


class Result(NamedTuple):
    """`value` is the worst of all levels that count. None: it was not measured, and so does not hold."""

    name: str
    value: float | None
    bound: float
    holds: bool
    reason: str


def read_gate(written: object, place: str) -> Gate:
    """From the content of a YAML or JSON file; `place` is its name. Raises `ConfigError`."""
    try:
        return Gate.model_validate(written)
    except ValidationError as error:
        raise ConfigError(explain(error, f"{place}: ", "figure").replace(": bounds.", ": ")) from error


def compare(report: LoadReport, gate: Gate) -> list[Result]:
    knee = report.knee
    good = [stage for stage in report.stages if knee is None or stage.callers_wanted <= knee.callers]
    results = [_judge(name, name, bound, good) for name, bound in gate.bounds.items()]
    for callers, bounds in gate.at.items():
        level = [stage for stage in report.stages if stage.callers_wanted == callers]
        results += [_judge(f"{name} at {callers} callers", name, bound, level) for name, bound in bounds.items()]
    if gate.knee_callers_min is not None:
        carried = knee.callers if knee else max((stage.callers_wanted for stage in report.stages), default=None)
        what = "the highest good level" if knee else "no knee was found up to here"
        results.append(_result(KNEE, carried, gate.knee_callers_min, at_least=True, what=what))
    return results


def exit_code(results: list[Result]) -> int:
    return 0 if all(result.holds for result in results) else EXIT_NOT_MET


def _judge(label: str, name: str, bound: float, stages: list[Stage]) -> Result:
    """A figure that one of the levels did not measure is not measured."""
    at_least = name in AT_LEAST
    figure = (AT_LEAST if at_least else AT_MOST)[name]
    if not stages:
        return Result(label, None, bound, False, "no such level was measured")
    found = []
    for stage in stages:
        value = figure(stage)
        if value is None:
            reason = f"not measured at {stage.callers_wanted} callers"
            return Result(label, None, bound, False, reason)
        found.append((value, stage.callers_wanted))
    value, callers = min(found) if at_least else max(found)
    return _result(label, value, bound, at_least, f"worst at {callers} callers")


def _result(label: str, value: float | None, bound: float, at_least: bool, what: str) -> Result:
    if value is None:
        return Result(label, None, bound, False, "not measured")
    return Result(label, value, bound, value >= bound if at_least else value <= bound, what)


def _no_such_figure(name: str) -> str:
    near = difflib.get_close_matches(name, (*_STAGE_FIGURES, KNEE), n=1)
    advice = f"did you mean {near[0]}?" if near else f"use one of {', '.join((*_STAGE_FIGURES, KNEE))}"
    return f"there is no figure {name!r}: {advice}"
