import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pipeline_worker.admission import LATE_MS, TICK_S, Admission
from pipeline_worker.settings import PipelineSettings
from pipeline_worker.tools.toolbox import Toolboxes
from pipeline_worker.worker import PipelineWorker
from shared import keys
from shared.agent import AgentDefinition, Greeting
from shared.events import (
    AgentSpeechEnded,
    CallerConnected,
    EndSession,
    PipelineAttached,
    PipelineLeaving,
    PlayoutReported,
    PublishEvent,
    SessionClosed,
)
from shared.frames import AudioFrame
from shared.io.broker import BLOCK_MS, Redis
from shared.io.heartbeat import live_workers, wall_ms
from shared.worker_report import WorkerReport
from tests.fakes.engines import FakeEngines
from tests.fakes.media_side import MediaSide

AGENTS = {
    agent.id: agent
    for agent in (
        AgentDefinition(id="echo", name="Echo", mode="echo"),
        AgentDefinition(id="front-desk", name="Front desk", greeting=Greeting(text="Hello.")),
    )
}
JOBS = keys.jobs("default")


@asynccontextmanager
async def running(
    broker: Redis, broker_url: str, helper_share: float | None = None, worker_id: str = "pipeline-1", **settings: object
) -> AsyncIterator[asyncio.Event]:
    """A worker with fake engines; yields the event that stops it."""
    values = {"redis_url": broker_url, "drain_timeout_s": 0, **settings}
    worker = PipelineWorker(
        worker_id,
        PipelineSettings.model_validate(values),
        AGENTS,
        FakeEngines().open,
        Toolboxes(AGENTS).open,
        broker,
        lambda: helper_share,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(worker.serve(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(15):
            await task


@pytest.fixture
async def media(broker: Redis, broker_url: str) -> AsyncIterator[MediaSide]:
    async with MediaSide.running(broker, broker_url) as side:
        yield side


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 (Redis has no event)
            await asyncio.sleep(0.01)


async def until_full(broker: Redis) -> None:
    async def full() -> bool:
        report = await report_of(broker)
        return report is not None and (report.sessions, report.capacity) == (1, 1)

    await eventually(full)


async def report_of(broker: Redis) -> WorkerReport | None:
    reports = await live_workers(broker, "pipeline")
    return reports[0] if reports else None


async def test_a_session_is_taken_announced_and_freed(broker: Redis, broker_url: str, media: MediaSide) -> None:
    reservations = keys.reservations("pipeline", "default")
    await broker.zadd(reservations, {"s1": wall_ms() + 15_000, "other": wall_ms() + 15_000})
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        assert await media.until_attached("s1") == "pipeline-1"
        assert media.of("s1", PipelineAttached)[0].epoch == 1

        async def placed() -> bool:
            report = await report_of(broker)
            return (
                report is not None and report.sessions == 1 and await broker.zrange(reservations, 0, -1) == [b"other"]
            )

        await eventually(placed)
        media.tell("pipeline-1", SessionClosed(session="s1"))

        async def freed() -> bool:
            report = await report_of(broker)
            return report is not None and report.sessions == 0

        await eventually(freed)
        assert await broker.exists(JOBS) == 0


async def test_it_reports_itself(broker: Redis, broker_url: str) -> None:
    async with running(broker, broker_url, pipeline_pools="default, gpu", pipeline_capacity=7, zone="a"):

        async def announced() -> bool:
            return await report_of(broker) is not None

        await eventually(announced)
        report = await report_of(broker)
        assert report is not None
        assert (report.state, report.capacity, report.pool, report.zone) == ("serving", 7, "default,gpu", "a")


async def test_a_worker_with_a_recogniser_never_promises_more_than_that_can_serve(
    broker: Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_worker.worker.core_speed", lambda: 1.0)
    monkeypatch.setattr("pipeline_worker.worker.usable_cores", lambda: 2.0)
    async with running(broker, broker_url, helper_share=0.0):

        async def announced() -> bool:
            return await report_of(broker) is not None

        await eventually(announced)
        first = await report_of(broker)
        assert first is not None
        assert first.capacity == 20


async def test_every_pool_is_served(broker: Redis, broker_url: str, media: MediaSide) -> None:
    async with running(broker, broker_url, pipeline_pools="default,gpu"):
        await media.ask_for_pipeline("s1", "echo")
        await media.ask_for_pipeline("s2", "echo", pool="gpu")
        await media.until_attached("s1")
        await media.until_attached("s2")


async def test_a_callers_voice_comes_back_from_the_echo(broker: Redis, broker_url: str, media: MediaSide) -> None:
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        worker = await media.until_attached("s1")
        frames = [AudioFrame("s1", 1, seq, seq * 320, 16_000, 1, bytes([seq]) * 640) for seq in range(50)]
        for frame in frames:
            media.tell(worker, frame)
        await media.until(lambda: [item for item in media.received if isinstance(item, AudioFrame)] == frames)


async def test_a_conversation_is_greeted_and_leaves_nothing(broker: Redis, broker_url: str, media: MediaSide) -> None:
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "front-desk")
        worker = await media.until_attached("s1")
        media.tell(worker, CallerConnected(session="s1"))
        await media.until(lambda: any(isinstance(item, AudioFrame) for item in media.received))
        media.tell(worker, SessionClosed(session="s1"))

        async def freed() -> bool:
            return await broker.keys("antiphon:s:*") == []

        await eventually(freed)


async def test_no_more_sessions_than_there_is_room_for(broker: Redis, broker_url: str, media: MediaSide) -> None:
    async with running(broker, broker_url, pipeline_capacity=1):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        await media.ask_for_pipeline("s2", "echo")
        media.tell("pipeline-1", CallerConnected(session="s1"))
        await media.until(lambda: bool(media.of("s1", PublishEvent)))
        assert await broker.llen(JOBS) == 1
        media.tell("pipeline-1", SessionClosed(session="s1"))
        await media.until_attached("s2")


async def test_a_busy_worker_reports_that_it_is_full_and_takes_no_session(
    broker: Redis, broker_url: str, media: MediaSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = True
    monkeypatch.setattr(Admission, "capacity", lambda _, sessions, __: sessions if busy and sessions else 20)
    monkeypatch.setattr("pipeline_worker.worker._KEPT_REPORTS", 0)  # what it let in before is over
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        await until_full(broker)
        await media.ask_for_pipeline("s2", "echo")
        media.tell("pipeline-1", CallerConnected(session="s1"))
        await media.until(lambda: bool(media.of("s1", PublishEvent)))
        assert media.of("s2", PipelineAttached) == []
        busy = False
        await media.until_attached("s2")


async def test_a_caller_who_was_let_in_before_the_worker_was_full_ended_without_a_pipeline_worker(
    broker: Redis, broker_url: str, media: MediaSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Admission, "capacity", lambda _, sessions, __: sessions or 20)
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        await until_full(broker)
        await media.ask_for_pipeline("s2", "echo")
        await media.until_attached("s2")


async def test_a_late_worker_reports_that_it_is_full(
    broker: Redis, broker_url: str, media: MediaSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_worker.admission.WINDOW", 10)
    monkeypatch.setattr("pipeline_worker.worker.core_speed", lambda: 0.05)  # where one session is not few
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        for _ in range(15):
            time.sleep(TICK_S + 2 * LATE_MS / 1000)  # noqa: ASYNC251 (the worker's loop is ours)
            await asyncio.sleep(0.01)
        await until_full(broker)


async def test_a_worker_with_a_busy_recogniser_reports_that_it_is_full(
    broker: Redis, broker_url: str, media: MediaSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_worker.worker.core_speed", lambda: 0.25)  # where one session is not few
    # In reality one core at most, but then the average would take ten seconds to rise.
    async with running(broker, broker_url, helper_share=10.0):
        await media.ask_for_pipeline("s1", "front-desk")
        await media.until_attached("s1")
        await until_full(broker)


async def test_jobs_that_cannot_be_served_are_dropped(broker: Redis, broker_url: str, media: MediaSide) -> None:
    await media.ask_for_pipeline("lost", "no-such-agent")
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        await media.ask_for_pipeline("s1", "echo")

        async def dropped() -> bool:
            return await broker.llen(JOBS) == 0

        await eventually(dropped)
        assert [item.session for item in media.received if isinstance(item, PipelineAttached)] == ["s1"]


async def test_a_stopped_worker_ends_sessions_after_the_drain_timeout_and_leaves_nothing(
    broker: Redis, broker_url: str, media: MediaSide
) -> None:
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
    await media.until(lambda: bool(media.of("s1", EndSession)))
    assert media.of("s1", EndSession)[0].reason == "server_shutdown"
    assert await live_workers(broker, "pipeline") == []
    assert await broker.exists(JOBS) == 0
    inboxes = {keys.inbox("media", "media-1"), keys.inbox("pipeline", "pipeline-1")}
    assert set(await broker.keys("*")) <= {key.encode() for key in inboxes}
    assert await broker.ttl(keys.inbox("pipeline", "pipeline-1")) > 0


async def test_a_call_ends_with_its_worker_though_the_broker_was_slow_when_that_stopped(
    broker: Redis, broker_url: str, media: MediaSide
) -> None:
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        await broker.client_pause(1_700)
    await media.until(lambda: bool(media.of("s1", EndSession)))
    assert await live_workers(broker, "pipeline") == []


async def test_a_session_may_finish_while_the_worker_drains(broker: Redis, broker_url: str, media: MediaSide) -> None:
    async with running(broker, broker_url, drain_timeout_s=60) as stop:
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        stop.set()

        async def draining() -> bool:
            report = await report_of(broker)
            return report is not None and report.state == "draining"

        await eventually(draining)
        await media.ask_for_pipeline("s2", "echo")
        media.tell("pipeline-1", CallerConnected(session="s1"))
        await media.until(lambda: bool(media.of("s1", PublishEvent)))
        media.tell("pipeline-1", SessionClosed(session="s1"))
    assert media.of("s1", EndSession) == []
    assert media.of("s2", PipelineAttached) == []
    assert await broker.llen(JOBS) == 1


async def test_a_worker_that_is_stopped_hands_its_call_over_and_the_caller_notices_nothing(
    broker: Redis, broker_url: str, media: MediaSide
) -> None:
    async with running(broker, broker_url, drain_timeout_s=60) as stop:
        await media.ask_for_pipeline("s1", "front-desk")
        await media.until_attached("s1")
        media.tell("pipeline-1", CallerConnected(session="s1"))
        await media.until(lambda: bool(media.of("s1", AgentSpeechEnded)))
        end = media.of("s1", AgentSpeechEnded)[0].end_sample
        async with running(broker, broker_url, worker_id="pipeline-2"):
            stop.set()
            media.tell("pipeline-1", PlayoutReported(session="s1", played_up_to=end, state="finished"))
            await media.until(lambda: bool(media.of("s1", PipelineLeaving)))
            await media.ask_for_pipeline("s1", "front-desk", epoch=2)
            await media.until(lambda: len(media.of("s1", PipelineAttached)) == 2)
            attached = media.of("s1", PipelineAttached)[1]
            assert (attached.pipeline_worker, attached.epoch) == ("pipeline-2", 2)
            media.tell("pipeline-1", SessionClosed(session="s1", reason="replaced"))
            published = [event.number for event in media.of("s1", PublishEvent)]
            connected = CallerConnected(session="s1", played_up_to=end, published=published[-1])
            media.tell("pipeline-2", connected)
            await media.until(lambda: media.of("s1", PublishEvent)[-1].epoch == 2)
            last = media.of("s1", PublishEvent)[-1]
            assert (last.fields, last.number) == ({"status": "listening"}, published[-1] + 1)
            transcripts = [event.fields["text"] for event in media.of("s1", PublishEvent) if event.type == "transcript"]
            assert transcripts == ["Hello."]
            media.tell("pipeline-2", SessionClosed(session="s1"))
    assert media.of("s1", EndSession) == []


async def wish(broker: Redis, wanted: str) -> None:
    """The operator's; until the worker shows it."""
    await broker.set(keys.wish("pipeline", "pipeline-1"), wanted)

    async def shown() -> bool:
        report = await report_of(broker)
        return report is not None and report.state == ("serving" if wanted == "serving" else "draining")

    await eventually(shown)


async def test_a_worker_drained_by_its_operator_keeps_its_calls_and_takes_no_others_until_that_is_undone(
    broker: Redis, broker_url: str, media: MediaSide
) -> None:
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "echo")
        await media.until_attached("s1")
        await wish(broker, "draining")
        await media.ask_for_pipeline("s2", "echo")
        media.tell("pipeline-1", CallerConnected(session="s1"))
        await media.until(lambda: bool(media.of("s1", PublishEvent)))
        await asyncio.sleep(BLOCK_MS / 1000)  # a claim that was waiting returns
        assert await broker.llen(JOBS) == 1, "given back"
        assert (media.of("s2", PipelineAttached), media.of("s1", PipelineLeaving)) == ([], [])
        await wish(broker, "serving")
        await media.until_attached("s2")


async def test_a_worker_whose_calls_should_move_offers_them_between_turns(
    broker: Redis, broker_url: str, media: MediaSide
) -> None:
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "front-desk")
        await media.until_attached("s1")
        media.tell("pipeline-1", CallerConnected(session="s1"))
        await media.until(lambda: bool(media.of("s1", AgentSpeechEnded)))
        await wish(broker, "moving")
        end = media.of("s1", AgentSpeechEnded)[0].end_sample
        assert media.of("s1", PipelineLeaving) == [], "the agent speaks"
        media.tell("pipeline-1", PlayoutReported(session="s1", played_up_to=end, state="finished"))
        await media.until(lambda: bool(media.of("s1", PipelineLeaving)))


async def test_a_call_whose_move_was_undone_in_time_stays(broker: Redis, broker_url: str, media: MediaSide) -> None:
    async with running(broker, broker_url):
        await media.ask_for_pipeline("s1", "front-desk")
        await media.until_attached("s1")
        media.tell("pipeline-1", CallerConnected(session="s1"))
        await media.until(lambda: bool(media.of("s1", AgentSpeechEnded)))
        await wish(broker, "moving")
        await wish(broker, "serving")
        end = media.of("s1", AgentSpeechEnded)[0].end_sample
        media.tell("pipeline-1", PlayoutReported(session="s1", played_up_to=end, state="finished"))
        await media.until(lambda: any(e.fields == {"status": "listening"} for e in media.of("s1", PublishEvent)))
        assert media.of("s1", PipelineLeaving) == []
