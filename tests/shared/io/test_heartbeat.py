import asyncio
import time
import tomllib
from pathlib import Path
from typing import cast

import pytest

from shared import keys
from shared.io.broker import Redis, connect
from shared.io.heartbeat import Heartbeat, live_workers, wall_ms
from shared.io.inbox import PAYLOAD
from shared.worker_report import LEASE_MS, WISH_MS, Wish, WorkerReport
from tests.fakes.counters import Gained
from tests.fakes.flaky_broker import FlakyBroker
from tests.fakes.own_broker import OwnBroker
from tests.fakes.patience import eventually
from tests.fakes.virtual_time import in_virtual_time

REPORT = WorkerReport(worker_id="m1", kind="media", sessions=2, capacity=9)
INBOX = keys.inbox("media", "m1")


def heartbeat(broker: Redis, report: WorkerReport = REPORT) -> Heartbeat:
    return Heartbeat(broker, lambda: report)


async def test_an_announced_worker_is_listed_with_the_time_of_its_report(broker: Redis) -> None:
    before = wall_ms()
    await heartbeat(broker).announce()
    (seen,) = await live_workers(broker, "media")
    assert seen == REPORT.model_copy(update={"reported_at_ms": seen.reported_at_ms, "version": seen.version})
    assert before <= seen.reported_at_ms <= wall_ms()
    assert await live_workers(broker, "pipeline") == []


async def test_a_worker_that_ran_from_the_source_tree_had_no_version(broker: Redis) -> None:
    await heartbeat(broker).announce()
    (seen,) = await live_workers(broker, "media")
    project = Path(__file__).parents[3] / "pyproject.toml"
    assert seen.version == tomllib.loads(project.read_text())["project"]["version"]


async def test_everything_of_a_worker_expires_by_itself(broker: Redis) -> None:
    await heartbeat(broker).announce()
    await broker.xadd(INBOX, {PAYLOAD: b"mail"})
    assert 0 < await broker.pttl(keys.worker("media", "m1")) <= LEASE_MS
    assert 0 < await broker.ttl(INBOX) <= 60


async def test_messages_survive_the_next_announcement(broker: Redis) -> None:
    await heartbeat(broker).announce()
    await broker.xadd(INBOX, {PAYLOAD: b"mail"})
    await heartbeat(broker).announce()
    assert await broker.xlen(INBOX) == 1


async def test_an_expired_lease_does_not_count_while_its_entry_is_still_listed(broker: Redis) -> None:
    await heartbeat(broker).announce()
    await broker.pexpire(keys.worker("media", "m1"), 1)
    await asyncio.sleep(0.01)
    assert await broker.zcard(keys.workers("media")) == 1
    assert await live_workers(broker, "media") == []


@pytest.mark.parametrize("ahead_s", [-600, 600])
async def test_a_worker_whose_clock_differs_from_the_others_is_listed_and_expires(
    broker: Redis, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    """One that was a few seconds behind got no sessions."""
    with monkeypatch.context() as patch:
        now_ms = wall_ms()
        patch.setattr("shared.io.heartbeat.wall_ms", lambda: now_ms + ahead_s * 1000)
        await heartbeat(broker).announce()
    await heartbeat(broker, REPORT.model_copy(update={"worker_id": "m2"})).announce()
    assert {report.worker_id for report in await live_workers(broker, "media")} == {"m1", "m2"}
    assert 0 < (await broker.zscore(keys.workers("media"), "m1") or 0) - wall_ms() <= LEASE_MS


async def test_workers_that_were_killed_are_not_listed_for_ever(broker: Redis) -> None:
    now = wall_ms()
    await broker.zadd(keys.workers("media"), {"killed": now - 61_000, "late": now - 30_000})
    await broker.zadd(keys.workers("pipeline"), {"killed": now - 61_000})
    await heartbeat(broker).announce()
    assert await broker.zrange(keys.workers("media"), 0, -1) == [b"late", b"m1"]
    assert await broker.zcard(keys.workers("pipeline")) == 1


async def test_a_worker_with_a_missing_or_malformed_report_is_left_out(broker: Redis) -> None:
    await heartbeat(broker).announce()
    await broker.zadd(keys.workers("media"), {"gone": wall_ms() + 1000, "mad": wall_ms() + 1000})
    await broker.hset(keys.worker("media", "mad"), "kind", "typist")
    assert [report.worker_id for report in await live_workers(broker, "media")] == ["m1"]


async def test_a_report_replaces_a_reservation(broker: Redis) -> None:
    reserved = keys.reservations("media", "m1")
    await broker.zadd(reserved, {"s1": 1, "s2": 2})
    await heartbeat(broker).announce(placed=(reserved, "s1"))
    assert await broker.zrange(reserved, 0, -1) == [b"s2"]


async def test_a_withdrawn_worker_is_gone_and_late_messages_expire(broker: Redis) -> None:
    await heartbeat(broker).announce()
    await broker.xadd(INBOX, {PAYLOAD: b"unread"})
    await broker.zadd(keys.reservations("media", "m1"), {"s1": 1})
    await heartbeat(broker).withdraw()
    assert await live_workers(broker, "media") == []
    assert await broker.keys("*") == [INBOX.encode()]
    await broker.xadd(INBOX, {PAYLOAD: b"late"})
    assert 0 < await broker.ttl(INBOX) <= 10
    assert await broker.xlen(INBOX) == 1


async def test_the_lease_is_renewed_again_after_the_broker_was_away(
    broker: Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.io.heartbeat.REPORT_INTERVAL_S", 0.01)
    async with FlakyBroker(broker_url).running() as flaky:
        client = connect(flaky.url)
        flaky.becomes("is away")
        renewing = asyncio.create_task(heartbeat(client).run())
        async with asyncio.timeout(30):
            await flaky.refused.wait()
            flaky.becomes("works")
            while not await live_workers(broker, "media"):  # noqa: ASYNC110 - the broker has no event
                await asyncio.sleep(0.01)
        renewing.cancel()
        await asyncio.wait({renewing})
        await client.aclose()


async def test_a_worker_is_not_ready_within_two_seconds_when_the_broker_hangs(tmp_path: Path) -> None:
    """`/readyz` of the workers stayed 200."""
    with OwnBroker(tmp_path).running() as own:
        client = connect(own.url)
        beating = heartbeat(client)
        assert beating.not_ready() == "not announced to the broker yet"
        running = asyncio.create_task(beating.run())
        await eventually(lambda: beating.not_ready() is None)
        own.hang()
        await eventually(lambda: beating.not_ready() == "the broker has not answered for 2 s")
        own.go_on()
        await eventually(lambda: beating.not_ready() is None)
        running.cancel()
        await asyncio.wait({running})
        await client.aclose()


async def test_a_worker_says_that_the_broker_has_no_memory_left(tmp_path: Path) -> None:
    """`/readyz` said that the broker does not answer."""
    with OwnBroker(tmp_path).running() as own:
        client = connect(own.url)
        beating = heartbeat(client)
        running = asyncio.create_task(beating.run())
        await eventually(lambda: beating.not_ready() is None)
        await client.config_set("maxmemory", "100kb")
        await eventually(lambda: beating.not_ready() == "the broker has no memory left")
        await client.config_set("maxmemory", "0")
        await eventually(lambda: beating.not_ready() is None)
        running.cancel()
        await asyncio.wait({running})
        await client.aclose()


class AbsentBroker:
    """Refuses everything, and records when it was asked."""

    def __init__(self) -> None:
        self.asked_at_s: list[float] = []

    def pipeline(self, transaction: bool) -> None:
        self.asked_at_s.append(asyncio.get_running_loop().time())
        raise ConnectionError("away")


@in_virtual_time
async def test_heartbeats_after_an_outage_do_not_stay_in_step() -> None:
    broker, chances = AbsentBroker(), iter([0.0, 1.0, 0.5, 0.5])
    running = asyncio.create_task(Heartbeat(cast(Redis, broker), lambda: REPORT, lambda: next(chances)).run())
    await asyncio.sleep(3.5)
    running.cancel()
    await asyncio.wait({running})
    assert broker.asked_at_s == pytest.approx([0.0, 0.9, 2.0, 3.0])


class Steered:
    """A worker that follows its operator."""

    def __init__(self, broker: Redis) -> None:
        self.heard: list[Wish] = []
        self.heartbeat = Heartbeat(broker, self._report, on_wish=self.heard.append)

    def _report(self) -> WorkerReport:
        return REPORT.model_copy(update={"state": "serving" if self.heartbeat.wish == "serving" else "draining"})


WISH = keys.wish("media", "m1")


async def shown_state(broker: Redis) -> str:
    (report,) = await live_workers(broker, "media")
    return report.state


async def test_an_operators_wish_is_followed_and_reported_at_once_and_may_be_undone(broker: Redis) -> None:
    worker = Steered(broker)
    await worker.heartbeat.announce()
    assert (worker.heard, await shown_state(broker)) == ([], "serving")
    for wish, state in (("draining", "draining"), ("moving", "draining"), ("serving", "serving")):
        await broker.set(WISH, wish, px=50)
        await worker.heartbeat.announce()
        await worker.heartbeat.announce()
        assert (worker.heard[-1], await shown_state(broker)) == (wish, state)
    assert worker.heard == ["draining", "moving", "serving"]


async def test_a_wish_lives_as_long_as_its_worker(broker: Redis) -> None:
    worker = Steered(broker)
    await broker.set(WISH, "draining", px=5_000)
    await worker.heartbeat.announce()
    assert 5_000 < await broker.pttl(WISH) <= WISH_MS
    await worker.heartbeat.withdraw()
    assert not await broker.exists(WISH)


async def test_a_drained_worker_does_not_serve_again_because_the_broker_has_lost_its_data(broker: Redis) -> None:
    worker = Steered(broker)
    await broker.set(WISH, "moving")
    await worker.heartbeat.announce()
    await broker.flushall()
    await worker.heartbeat.announce()
    assert (worker.heard, await shown_state(broker)) == (["moving"], "draining")
    assert await broker.get(WISH) == b"moving"


async def test_a_wish_of_another_version_changes_nothing(broker: Redis) -> None:
    worker = Steered(broker)
    await broker.set(WISH, "dancing")
    await worker.heartbeat.announce()
    assert (worker.heard, await shown_state(broker)) == ([], "serving")


async def test_a_report_says_how_late_the_event_loop_was(broker: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.io.heartbeat.REPORT_INTERVAL_S", 0.2)
    late = Gained("antiphon_event_loop_lag_seconds_sum")
    running = asyncio.create_task(heartbeat(broker).run())
    await asyncio.sleep(0.05)
    time.sleep(1.0)  # noqa: ASYNC251 (the loop is late)
    worst = 0
    async with asyncio.timeout(10):
        while worst < 150:
            await asyncio.sleep(0.01)
            worst = max(report.lag_ms for report in await live_workers(broker, "media"))
    assert late() >= 1
    running.cancel()
    await asyncio.wait({running})
