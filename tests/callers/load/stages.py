"""Stages as a server would produce them, without a server."""

from callers.load.results import Audio, CallerLoad, RoleLoad, ServerLoad, SetUp, Spread, Stage
from callers.load.sketch import Sketch


def spread(*values: float) -> Spread:
    found = Spread.of(Sketch.of(values))
    assert found is not None
    return found


def stage(
    callers: int,
    set_up_ms: float | None = 80.0,
    lateness_ms: float = 5.0,
    loss_percent: float = 0.0,
    errors: dict[str, int] | None = None,
    connected: int | None = None,
    caller_load: CallerLoad | None = None,
    server: ServerLoad | None = None,
) -> Stage:
    return Stage(
        began_s=0.0,
        duration_s=30.0,
        callers_wanted=callers,
        callers_connected=callers if connected is None else connected,
        attempts=callers,
        set_up=SetUp(total_ms=None if set_up_ms is None else spread(set_up_ms)),
        audio=Audio(packet_lateness_ms=spread(lateness_ms), loss_percent=loss_percent),
        errors=errors or {},
        callers=caller_load or CallerLoad(processes=2, cores=0.4, busiest_core_share=0.3),
        server=server,
    )


def server(**busiest_core_shares: float) -> ServerLoad:
    roles = {
        role: RoleLoad(processes=2, cores=1.5 * share, busiest_core_share=share, memory_mb=200.0, loop_lag_ms=1.0)
        for role, share in busiest_core_shares.items()
    }
    return ServerLoad(roles=roles, hop_p99_ms=3.0, broker_operations_per_s=400.0)
