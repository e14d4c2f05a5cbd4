import pytest

from callers.load.results import CallerLoad, Knee, ServerLoad, Stage
from callers.load.saturation import callers_limit, callers_were_the_limit, culprit, sign_of_saturation
from tests.callers.load.stages import server, spread, stage

_FIRST = [stage(10, set_up_ms=150.0), stage(15, set_up_ms=160.0), stage(20, set_up_ms=400.0)]
_FULL = CallerLoad(processes=1, cores=0.5, busiest_core_share=0.5, host_busy_percent=99.0)


@pytest.mark.parametrize(
    ("level", "signal"),
    [
        (stage(30, set_up_ms=330.0), "set_up"),
        (stage(30, lateness_ms=60.0), "lateness"),
        (stage(100, errors={"timeout": 2}), "errors"),
        (stage(30, loss_percent=1.0), "loss"),
        (stage(30, connected=20), "callers_missing"),
    ],
)
def test_a_level_is_bad_when_a_signal_doubles_or_appears(level: Stage, signal: str) -> None:
    sign = sign_of_saturation(level, _FIRST)
    assert sign is not None
    assert sign.signal == signal


@pytest.mark.parametrize(
    "level",
    [
        stage(30, set_up_ms=310.0),
        stage(30, lateness_ms=11.0),
        stage(300, errors={"timeout": 2}),
        stage(30, set_up_ms=None),
        stage(30, connected=29),
    ],
)
def test_noise_is_no_saturation(level: Stage) -> None:
    assert sign_of_saturation(level, _FIRST) is None


def test_loss_that_the_scenario_itself_brings_is_no_saturation() -> None:
    impaired = [stage(10, loss_percent=3.0)]
    assert sign_of_saturation(stage(20, loss_percent=4.0), impaired) is None
    assert sign_of_saturation(stage(20, loss_percent=7.0), impaired) is not None


@pytest.mark.parametrize(
    "level",
    [stage(10, set_up_ms=900.0), stage(10, lateness_ms=80.0), stage(10, loss_percent=5.0)],
    ids=["far away", "jitter", "loss"],
)
def test_a_ramp_over_a_slow_or_lossy_network_is_not_saturated_at_its_first_level(level: Stage) -> None:
    assert sign_of_saturation(level, []) is None
    assert sign_of_saturation(level.model_copy(update={"callers_wanted": 15, "callers_connected": 15}), [level]) is None


@pytest.mark.parametrize(
    ("level", "signal"),
    [
        (stage(200, set_up_ms=5_000.0), "set_up"),
        (stage(200, lateness_ms=400.0), "lateness"),
        (stage(200, loss_percent=30.0), "loss"),
        (stage(200, errors={"timeout": 4}), "errors"),
    ],
)
def test_a_ramp_that_begins_beyond_the_knee_is_noticed(level: Stage, signal: str) -> None:
    sign = sign_of_saturation(level, [])
    assert sign is not None
    assert sign.signal == signal


@pytest.mark.parametrize(
    ("level", "resource", "role"),
    [
        (stage(30, server=server(gateway=0.2, media_worker=0.93)), "role", "media_worker"),
        (stage(30, server=server(gateway=0.2, broker=0.9)), "broker", "broker"),
        (stage(30, caller_load=CallerLoad(processes=1, cores=0.9, busiest_core_share=0.9)), "callers", None),
        (stage(30, server=server(gateway=0.2), errors={"no_capacity": 3}), "capacity", None),
        (stage(30, caller_load=_FULL), "host", None),
        (stage(30, server=ServerLoad(hop_p99_ms=90.0)), "broker", None),
        (stage(30, server=server(gateway=0.2)), "unknown", None),
        (stage(30), "unknown", None),
    ],
)
def test_the_resource_that_ran_out_is_named(level: Stage, resource: str, role: str | None) -> None:
    found = culprit(level)
    assert (found.resource, found.role) == (resource, role)


def test_a_server_that_refuses_callers_is_full_by_its_own_count_however_busy_the_host_is() -> None:
    found = culprit(stage(30, caller_load=_FULL, server=server(media_worker=0.9), errors={"no_capacity": 3}))
    assert (found.resource, found.words) == ("capacity", "the server refused callers 3 times (no_capacity)")
    mostly_lost = {"no_capacity": 1, "cut_connection": 4}
    assert culprit(stage(30, caller_load=_FULL, errors=mostly_lost)).resource == "host"


def test_a_late_event_loop_is_told_from_a_busy_one() -> None:
    load = server(gateway=0.3)
    late = load.roles["gateway"].model_copy(update={"loop_lag_ms": 120.0})
    found = culprit(stage(30, server=ServerLoad(roles={"gateway": late})))
    assert (found.role, found.words) == ("gateway", "the busiest gateway had an event loop that was 120 ms late")


def test_callers_that_are_late_are_the_limit_themselves() -> None:
    late = CallerLoad(processes=1, cores=0.5, busiest_core_share=0.5, lateness_ms=spread(30.0))
    assert "30 ms late" in str(callers_limit(late))
    assert culprit(stage(30, caller_load=late)).resource == "callers"
    assert callers_were_the_limit([stage(30, caller_load=late)], None)
    assert callers_limit(CallerLoad(processes=1, cores=0.5, busiest_core_share=0.5, lateness_ms=spread(3.0))) is None


def test_on_a_full_host_late_callers_are_named_beside_the_host() -> None:
    late = _FULL.model_copy(update={"lateness_ms": spread(30.0)})
    assert culprit(stage(30, caller_load=late)).resource == "host"
    assert callers_were_the_limit([stage(30, caller_load=late)], None)


def test_callers_that_were_late_only_beyond_the_knee_were_not_the_limit() -> None:
    late = CallerLoad(processes=1, cores=0.5, busiest_core_share=0.5, lateness_ms=spread(30.0))
    knee = Knee(callers=20, bad_callers=30, signal="loss", value=1.0, bound=0.5, resource="unknown", reason="Lossy.")
    stages = [stage(20), stage(30), stage(90, caller_load=late)]
    assert not callers_were_the_limit(stages, knee)
    assert callers_were_the_limit(stages, None)
