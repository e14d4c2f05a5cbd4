import pytest

from callers.load.prometheus_text import Metrics
from callers.load.server_sample import ProcessSample, ServerSample, load_between, process_sample


def metrics(prefix: str, cpu_s: float, hops: int = 0, late: int = 0, commands: int = 0) -> Metrics:
    return Metrics(
        f"{prefix}_sessions 1\nprocess_cpu_seconds_total {cpu_s}\nprocess_resident_memory_bytes 5e7\n"
        f'antiphon_broker_hop_seconds_bucket{{le="0.01"}} {hops}\n'
        f'antiphon_broker_hop_seconds_bucket{{le="+Inf"}} {hops}\n'
        f'antiphon_event_loop_lag_seconds_bucket{{le="0.001"}} 0\n'
        f'antiphon_event_loop_lag_seconds_bucket{{le="0.1"}} {late}\n'
        f"antiphon_broker_commands_total {commands}\n"
    )


def sample(at_s: float, **processes: Metrics) -> ServerSample:
    found = {name: process_sample(each) for name, each in processes.items()}
    return ServerSample(at_s, {name: each for name, each in found.items() if each is not None})


def test_processes_are_added_up_by_role() -> None:
    first = sample(
        0, a=metrics("antiphon_media", 10), b=metrics("antiphon_media", 20), c=metrics("antiphon_gateway", 1)
    )
    last = sample(
        10,
        a=metrics("antiphon_media", 15, hops=100, commands=400),
        b=metrics("antiphon_media", 22, late=100, commands=100),
        c=metrics("antiphon_gateway", 1),
    )
    load = load_between(first, last)
    assert load is not None
    media = load.roles["media_worker"]
    assert (media.processes, media.cores, media.busiest_core_share, media.memory_mb) == pytest.approx(
        (2, 0.7, 0.5, 100)
    )
    assert media.loop_lag_ms == pytest.approx(99.01)
    assert load.roles["gateway"].cores == 0
    assert load.hop_p99_ms == pytest.approx(9.9)
    assert load.broker_operations_per_s == pytest.approx(50)


def test_local_engines_that_fill_their_core_are_seen_though_their_worker_is_idle() -> None:
    worker = (
        "antiphon_pipeline_sessions 8\nprocess_cpu_seconds_total {}\nprocess_resident_memory_bytes 2e8\n"
        "antiphon_pipeline_helper_cpu_seconds_total {}\nantiphon_pipeline_helper_core_share 0.93\n"
        "antiphon_pipeline_helper_resident_memory_bytes 5e8\n"
    )
    load = load_between(sample(0, a=Metrics(worker.format(0, 0))), sample(10, a=Metrics(worker.format(1, 12))))
    assert load is not None
    role = load.roles["pipeline_worker"]
    assert (role.cores, role.busiest_core_share, role.memory_mb) == pytest.approx((1.3, 0.93, 700))


def test_what_the_broker_says_of_its_operations_counts_before_what_others_say() -> None:
    broker = "redis_up 1\nredis_commands_processed_total {}\n"
    first = sample(0, a=metrics("antiphon_media", 0), broker=Metrics(broker.format(100)))
    last = sample(10, a=metrics("antiphon_media", 0, commands=10), broker=Metrics(broker.format(900)))
    load = load_between(first, last)
    assert load is not None
    assert load.broker_operations_per_s == pytest.approx(80)


def test_the_brokers_processor_and_memory_are_not_those_of_its_exporter() -> None:
    exported = (
        "redis_up 1\nredis_commands_processed_total {}\nredis_memory_used_rss_bytes 3e8\n"
        "redis_cpu_user_seconds_total {}\nredis_cpu_sys_seconds_total {}\n"
        "process_cpu_seconds_total 1\nprocess_resident_memory_bytes 2e7\n"
    )
    first, last = Metrics(exported.format(0, 10, 20)), Metrics(exported.format(10, 16, 23))
    load = load_between(sample(0, broker=first), sample(10, broker=last))
    assert load is not None
    broker = load.roles["broker"]
    assert (broker.cores, broker.busiest_core_share, broker.memory_mb) == pytest.approx((0.9, 0.9, 300))


def test_a_process_that_came_or_went_meanwhile_does_not_count() -> None:
    load = load_between(sample(0, a=metrics("antiphon_media", 0)), sample(10, b=metrics("antiphon_media", 9)))
    assert load is None


def test_a_process_that_started_again_has_used_nothing_rather_than_less_than_nothing() -> None:
    load = load_between(sample(0, a=metrics("antiphon_media", 50)), sample(10, a=metrics("antiphon_media", 1)))
    assert load is not None
    assert load.roles["media_worker"].cores == 0


def test_without_its_own_measure_the_lag_is_what_the_gateway_says() -> None:
    processes = {"a": ProcessSample("gateway", 1.0)}
    load = load_between(ServerSample(0, processes), ServerSample(10, processes, {"gateway": 7.0}))
    assert load is not None
    assert load.roles["gateway"].loop_lag_ms == 7


def test_a_process_of_others_is_not_ours() -> None:
    assert process_sample(Metrics("process_cpu_seconds_total 5\n")) is None


def test_nothing_that_was_read_is_nothing() -> None:
    assert load_between(ServerSample(0), ServerSample(10)) is None
