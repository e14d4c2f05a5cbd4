"""Whether a level was too much for the server, and which resource it was that ran out."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from callers.load.results import CallerLoad, Knee, Resource, Role, Signal, Stage, percentile

BASELINE_LEVELS = 3
"""The first levels, whose median later ones are compared with."""
_TIMES = 2.0
_LEAST_CONNECTED_PERCENT = 95.0

_NEAR_ITS_CORE = 0.8
_CALLERS_NEAR_THEIR_CORE = 0.85
_CALLERS_LATE_MS = 20.0
"""A packet's length: later, a caller's own clock spoils what it measures."""
_HOST_BUSY_PERCENT = 95.0
_LOOP_LATE_MS = 50.0
_HOP_LATE_MS = 50.0
_REFUSALS = frozenset({"no_capacity", "too_many_sessions"})


class Sign(NamedTuple):
    """The first signal of saturation, in the signal's unit."""

    signal: Signal
    value: float
    bound: float
    words: str


class Culprit(NamedTuple):
    resource: Resource
    role: Role | None
    words: str


class _Rule(NamedTuple):
    signal: Signal
    figure: Callable[[Stage], float | None]
    floor: float
    """Never a sign below this, however much it grew: 1 ms that become 2 ms are no saturation."""
    alone: float
    """The bound of the first level, which has none to compare with: a slow or lossy network is no saturation."""
    words: str


_RULES = (
    _Rule("errors", lambda stage: stage.error_percent, 1.0, 1.0, "{value:.1f} % of callers had an error"),
    _Rule("loss", lambda stage: stage.audio.loss_percent, 0.5, 20.0, "{value:.1f} % of packets were lost"),
    _Rule(
        "set_up",
        lambda stage: percentile(stage.set_up.total_ms, "p95"),
        200.0,
        3_000.0,
        "set-up took {value:.0f} ms (p95), more than {bound:.0f} ms",
    ),
    _Rule(
        "lateness",
        lambda stage: percentile(stage.audio.packet_lateness_ms, "p95"),
        40.0,  # what a jitter buffer bears without a gap
        250.0,
        "the agent's packets were {value:.0f} ms late (p95), more than {bound:.0f} ms",
    ),
)


def sign_of_saturation(stage: Stage, first_levels: Sequence[Stage]) -> Sign | None:
    """What doubled against the median of `first_levels`, or else appeared. None if the level was good."""
    for rule in _RULES:
        value = rule.figure(stage)
        known = [figure for level in first_levels if (figure := rule.figure(level)) is not None]
        bound = max(rule.floor, _TIMES * median(known)) if known else rule.alone
        if value is not None and value > bound:
            return Sign(rule.signal, value, bound, rule.words.format(value=value, bound=bound))
    connected = 100 * stage.callers_connected / max(1, stage.callers_wanted)
    if connected < _LEAST_CONNECTED_PERCENT:
        words = f"{connected:.0f} % of the callers were connected"
        return Sign("callers_missing", connected, _LEAST_CONNECTED_PERCENT, words)
    return None


def callers_limit(callers: CallerLoad) -> str | None:
    """Why the callers themselves were the limit, if they were: what they measured is then worse than what was."""
    if _callers_are_busy(callers):
        return f"a process of the callers used {100 * callers.busiest_core_share:.0f} % of its core"
    late_ms = percentile(callers.lateness_ms, "p95")
    if late_ms is not None and late_ms >= _CALLERS_LATE_MS:
        return f"the callers' own clock was {late_ms:.0f} ms late (p95)"
    return None


def callers_were_the_limit(stages: Sequence[Stage], knee: Knee | None) -> bool:
    """What the report says: of the level that was too much if there is one, else of any."""
    judged = [stage for stage in stages if knee is None or stage.callers_wanted == knee.bad_callers]
    return any(callers_limit(stage.callers) for stage in judged)


def culprit(stage: Stage) -> Culprit:
    """The resource that ran out: what the server refused callers for, else what was measured, of the callers first."""
    refused = {code: count for code, count in stage.errors.items() if code in _REFUSALS}
    if 2 * sum(refused.values()) > stage.error_count:
        codes = ", ".join(sorted(refused))
        return Culprit("capacity", None, f"the server refused callers {sum(refused.values())} times ({codes})")
    limit = callers_limit(stage.callers)
    if limit is not None and (_callers_are_busy(stage.callers) or not _host_is_full(stage.callers)):
        return Culprit("callers", None, limit)
    roles = stage.server.roles if stage.server else {}
    busy = max(roles, key=lambda role: roles[role].busiest_core_share, default=None)
    if busy is not None and roles[busy].busiest_core_share >= _NEAR_ITS_CORE:
        return _process(busy, f"used {100 * roles[busy].busiest_core_share:.0f} % of its core")
    if _host_is_full(stage.callers):
        return Culprit("host", None, f"the callers' host was {stage.callers.host_busy_percent:.0f} % busy")
    late = max(roles, key=lambda role: roles[role].loop_lag_ms or 0.0, default=None)
    if late is not None and (lag_ms := roles[late].loop_lag_ms or 0.0) >= _LOOP_LATE_MS:
        return _process(late, f"had an event loop that was {lag_ms:.0f} ms late")
    hop_ms = stage.server.hop_p99_ms if stage.server else None
    if hop_ms is not None and hop_ms >= _HOP_LATE_MS:
        return Culprit("broker", None, f"a hop through the broker took {hop_ms:.0f} ms (p99)")
    if stage.server is None:
        return Culprit("unknown", None, "the server's metrics could not be read")
    return Culprit("unknown", None, "no process was near its core")


def _process(role: Role, words: str) -> Culprit:
    name = role.replace("_", " ")
    return Culprit("broker" if role == "broker" else "role", role, f"the busiest {name} {words}")


def _host_is_full(callers: CallerLoad) -> bool:
    return callers.host_busy_percent is not None and callers.host_busy_percent >= _HOST_BUSY_PERCENT


def _callers_are_busy(callers: CallerLoad) -> bool:
    return callers.busiest_core_share >= _CALLERS_NEAR_THEIR_CORE
