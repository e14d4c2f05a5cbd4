"""What the target's processes had used at two moments, and so between them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from callers.load.prometheus_text import Histogram, Metrics
from callers.load.results import Role, RoleLoad, ServerLoad

_MB = 1e6
_ROLES: Mapping[str, Role] = {
    "antiphon_gateway_": "gateway",
    "antiphon_media_": "media_worker",
    "antiphon_pipeline_": "pipeline_worker",
    "redis_": "broker",
    "valkey_": "broker",
}
_LAG = "antiphon_event_loop_lag_seconds"
_HOP = "antiphon_broker_hop_seconds"
_BROKER_SERVES = "redis_commands_processed_total"
_BROKER_CPU = ("redis_cpu_user_seconds_total", "redis_cpu_sys_seconds_total")
"""These and the memory are what `redis_exporter` says of the broker; `process_*` are of the exporter itself."""
_BROKER_MEMORY = "redis_memory_used_rss_bytes"
_WE_SEND = "antiphon_broker_commands_total"


@dataclass(frozen=True)
class ProcessSample:
    role: Role
    cpu_s: float
    helpers_cpu_s: float = 0.0
    """Of its child processes, unless they have samples of their own."""
    busiest_helper_share: float = 0.0
    """In the last second: what the busiest of them used of a core."""
    memory_bytes: float | None = None
    """With theirs."""
    lag: Histogram | None = None
    hop: Histogram | None = None
    operations: float | None = None
    """Commands that it sent to the broker; of the broker, those that it has served."""


@dataclass(frozen=True)
class ServerSample:
    at_s: float
    processes: Mapping[str, ProcessSample] = field(default_factory=dict)
    """By a name that it keeps."""
    worst_lag_ms: Mapping[Role, float] = field(default_factory=dict)
    """In the last second, as the gateway says."""


def process_sample(metrics: Metrics) -> ProcessSample | None:
    """None if it is none of ours."""
    role = next((role for prefix, role in _ROLES.items() if metrics.has(prefix)), None)
    if role is None:
        return None
    if role == "broker":
        cpu_s = sum(metrics.value(name) or 0.0 for name in _BROKER_CPU)
        memory, operations = metrics.value(_BROKER_MEMORY), metrics.value(_BROKER_SERVES)
        return ProcessSample(role, cpu_s, memory_bytes=memory, operations=operations)
    memory_bytes = metrics.value("process_resident_memory_bytes")
    if memory_bytes is not None:
        memory_bytes += metrics.value("antiphon_pipeline_helper_resident_memory_bytes") or 0.0
    return ProcessSample(
        role,
        metrics.value("process_cpu_seconds_total") or 0.0,
        metrics.value("antiphon_pipeline_helper_cpu_seconds_total") or 0.0,
        metrics.value("antiphon_pipeline_helper_core_share") or 0.0,
        memory_bytes,
        metrics.histogram(_LAG),
        metrics.histogram(_HOP),
        metrics.value(_WE_SEND),
    )


def load_between(first: ServerSample, last: ServerSample) -> ServerLoad | None:
    """Of the processes that were there both times. None if there is nothing to say."""
    seconds = last.at_s - first.at_s
    pairs = [(first.processes[name], process) for name, process in last.processes.items() if name in first.processes]
    if seconds <= 0 or not (pairs or last.worst_lag_ms):
        return None
    roles = {
        role: _role_load(role, [pair for pair in pairs if pair[1].role == role], seconds, last)
        for role in dict.fromkeys([*(process.role for _, process in pairs)])
    }
    hop = _merged(after.hop.since(before.hop) for before, after in pairs if after.hop and before.hop)
    hop_s = hop.quantile(0.99) if hop else None
    return ServerLoad(
        roles=roles,
        hop_p99_ms=None if hop_s is None else 1000 * hop_s,
        broker_operations_per_s=_operations_per_s(pairs, seconds),
    )


def _role_load(
    role: Role, pairs: list[tuple[ProcessSample, ProcessSample]], seconds: float, last: ServerSample
) -> RoleLoad:
    own = [max(0.0, after.cpu_s - before.cpu_s) / seconds for before, after in pairs]
    helpers = [max(0.0, after.helpers_cpu_s - before.helpers_cpu_s) / seconds for before, after in pairs]
    memory = [after.memory_bytes for _, after in pairs if after.memory_bytes is not None]
    lags_s = [after.lag.since(before.lag).quantile(0.99) for before, after in pairs if after.lag and before.lag]
    lags_ms = [1000 * lag_s for lag_s in lags_s if lag_s is not None]
    return RoleLoad(
        processes=len(pairs),
        cores=sum(own) + sum(helpers),
        busiest_core_share=max([*own, *(after.busiest_helper_share for _, after in pairs)]),
        memory_mb=sum(memory) / _MB if memory else None,
        loop_lag_ms=max(lags_ms, default=last.worst_lag_ms.get(role)),
    )


def _operations_per_s(pairs: Iterable[tuple[ProcessSample, ProcessSample]], seconds: float) -> float | None:
    """What the broker says, else what all others say."""
    changes: dict[bool, list[float]] = {True: [], False: []}
    for before, after in pairs:
        if before.operations is not None and after.operations is not None:
            changes[after.role == "broker"].append(max(0.0, after.operations - before.operations))
    counted = changes[True] or changes[False]
    return sum(counted) / seconds if counted else None


def _merged(histograms: Iterable[Histogram]) -> Histogram | None:
    merged: Histogram | None = None
    for histogram in histograms:
        merged = histogram if merged is None else merged.merged(histogram)
    return merged
