import math
from dataclasses import replace

import pytest

from tests.load.capacity_plan import Assumptions, UnitCosts, frames_per_entry, plan

COSTS = UnitCosts(
    media_ms=3.0,
    pipeline_ms=5.0,
    set_up_gateway_ms=2.0,
    event_gateway_ms=0.1,
    held_kb=50.0,
    broker_few_ms=0.06,
    few_frames=20.0,
    broker_all_ms=0.10,
    all_frames=4.0,
    media_mb=0.3,
    pipeline_mb=0.7,
)
GIVEN = Assumptions(sessions=10_000, cell_sessions=5_000, call_s=100.0)


def value_of(what: str, costs: UnitCosts = COSTS, given: Assumptions = GIVEN) -> float:
    return next(row.value for row in plan(costs, given).rows if row.what.startswith(what))


def test_the_frames_of_a_media_worker_share_the_entries_of_its_few_pipeline_workers() -> None:
    assert frames_per_entry(5_000, 25, 25) == pytest.approx(20.0)
    assert frames_per_entry(100_000, 500, 800) == pytest.approx(20.0)
    assert frames_per_entry(400, 2, 2) == pytest.approx(40.0)
    assert frames_per_entry(100, 100, 100) == 1.0


def test_the_brokers_cost_is_that_of_its_bytes_and_its_entries() -> None:
    assert COSTS.broker_ms(20) == pytest.approx(0.06)
    assert COSTS.broker_ms(4) == pytest.approx(0.10)
    assert COSTS.broker_ms(1e9) == pytest.approx(0.05)


def test_a_cell_has_the_cores_that_its_sessions_use_with_headroom_and_a_spare_process() -> None:
    assert value_of("cells") == 2
    # 5,000 x 3 ms and 50 set-ups x 7 ms are 15.35 cores, which at 70 % are 22.
    assert value_of("media workers, cell") == 23
    assert value_of("pipeline workers, cell") == 37
    # 50 x 2 ms + 2,500 x 0.1 ms
    assert value_of("gateways, cell") == 2
    assert value_of("cores") == 2 * (23 + 37 + 2 + value_of("broker nodes, cell"))


def test_one_cell_for_all_needs_as_much_of_the_broker_as_many_small_ones() -> None:
    many = replace(GIVEN, sessions=100_000)
    one = replace(many, cell_sessions=100_000)
    used_by_one = 100_000 * COSTS.broker_ms(value_of("frames in an entry", given=one)) * 1.3 / 1000 / 0.7
    assert value_of("broker nodes, cell", given=one) == 2 * math.ceil(used_by_one)
    assert value_of("frames in an entry", given=one) == pytest.approx(
        value_of("frames in an entry", given=many), rel=0.05
    )


@pytest.mark.parametrize(("sessions", "nodes"), [(2_000, 2), (5_000, 6), (60_000, 28)])
def test_a_broker_is_one_server_or_a_cluster_of_three_masters_and_more_each_with_a_replica(
    sessions: int, nodes: int
) -> None:
    costs = replace(COSTS, broker_few_ms=0.12, broker_all_ms=0.12)  # what shares an entry is of no consequence
    assert value_of("broker nodes, cell", costs, replace(GIVEN, sessions=sessions, cell_sessions=sessions)) == nodes


def test_traffic_is_that_of_packets_with_their_headers() -> None:
    # 10,000 callers, 50 packets of 80 + 56 bytes
    assert value_of("from callers") == pytest.approx(0.544)
    assert value_of("to callers") == pytest.approx(0.4 * 0.544)
    assert value_of("into and out of all brokers") == pytest.approx(2 * 10_000 * 51.2 * 8 / 1e6)


def test_what_is_scarcest_decides_the_nodes_and_each_zone_has_a_spare_one() -> None:
    by_cores = plan(COSTS, GIVEN)
    assert by_cores.nodes % GIVEN.zones == 0
    assert by_cores.nodes >= by_cores.cores / 15 + GIVEN.zones
    assert plan(COSTS, replace(GIVEN, node_gb=1.0)).nodes > by_cores.nodes
    assert plan(COSTS, replace(GIVEN, node_gbit_s=0.5)).nodes > by_cores.nodes


def test_the_price_is_that_of_the_nodes_and_of_what_goes_out() -> None:
    found = plan(COSTS, GIVEN)
    traffic = value_of("to callers") / 8 * 3600 * 0.05
    assert found.usd_per_session_hour == pytest.approx((found.nodes * 16 * 0.04 + traffic) / 10_000)


def test_engines_on_our_cores_are_added_to_the_pipeline_workers() -> None:
    assert value_of("pipeline workers, cell", given=replace(GIVEN, engine_ms=125.0)) == 930


def test_the_table_is_markdown_with_the_arithmetic() -> None:
    table = plan(COSTS, GIVEN).table().splitlines()
    assert table[1] == "|---|---|---|"
    assert "| cells | 2 | 10,000 / 5,000 |" in table
    assert all(line.count("|") == 4 for line in table)


def test_a_plan_for_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="cell_sessions is not more than 0: 0"):
        replace(GIVEN, cell_sessions=0)
