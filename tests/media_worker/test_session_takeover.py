"""A session that loses its pipeline worker, or gets another one."""

import asyncio
from itertools import pairwise

from callers.caller import Caller
from callers.voice import RATE
from shared import keys
from shared.events import (
    AgentSpeechEnded,
    CallerConnected,
    ClientEventSent,
    EndSession,
    EventsMissed,
    FlushPlayout,
    OfferAnswered,
    PausePlayout,
    PipelineAttached,
    PipelineLeaving,
    PlayoutReported,
    PublishEvent,
    SessionClosed,
    TextReceived,
    TextsMissed,
)
from shared.frames import AudioFrame
from shared.io.broker import Redis
from tests.fakes.counters import Gained
from tests.fakes.media_correspondents import PipelineStandIn, RunningMediaWorker, running_media_worker
from tests.fakes.patience import eventually
from tests.fakes.sounds import strength, tone
from tests.media_worker.calls import calling


def is_to(pipeline: PipelineStandIn, reason: str) -> bool:
    return any(closed.reason == reason for closed in pipeline.messages(SessionClosed))


async def exchange_without_pipeline(house: RunningMediaWorker, sdp: str) -> str:
    reply = await house.gateway.offer("s1", sdp)
    assert isinstance(reply, OfferAnswered)
    return reply.sdp


async def test_a_killed_pipeline_worker_is_replaced_and_the_caller_need_not_hang_up(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.caller.microphone.play(tone(440, 20, RATE))
        await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
        await house.pipeline.until(lambda: strength(call.heard_up()[-3_200:], 440, 16_000) > 0.5)
        heard_up_to = house.pipeline.uplink("s1")[-1].end_sample
        await house.pipeline.die()
        async with house.another_pipeline(uplink_from=heard_up_to - 8_000) as successor:
            connected = await successor.message(CallerConnected, session="s1")
            assert connected.played_up_to == 12_000
            assert [(job.epoch, job.resumed) for job in successor.jobs] == [(2, True)]
            assert (await call.event_on_both_channels("status", status="reconnecting"))["seq"] > 0
            await successor.until(lambda: len(successor.uplink("s1")) > 20)
            items = successor.uplink("s1")
            assert items[0].first_sample <= heard_up_to - 8_000 < items[0].end_sample
            for before, after in pairwise(items):
                assert (after.first_sample, after.epoch) == (before.end_sample, 2)
            await successor.say("s1", tone(880, 0.2, 24_000).tobytes(), epoch=2)
            assert (await successor.message(PlayoutReported, state="finished")).played_up_to == 4_800


async def test_an_echo_agent_that_takes_over_does_not_hear_old_speech(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > 20)
        await house.pipeline.die()
        async with house.another_pipeline() as successor:
            await successor.until(lambda: len(successor.uplink("s1")) > 5)
            connected = successor.received.index(successor.messages(CallerConnected)[0])
            first = successor.uplink("s1")[0]
            assert successor.received.index(first) > connected
            assert first.first_sample > 16_000


async def test_a_pipeline_worker_that_wakes_up_is_not_heard_and_is_told(house: RunningMediaWorker) -> None:
    stale = Gained("antiphon_media_stale_epoch_total")
    async with calling(house):
        await house.pipeline.die()
        async with house.another_pipeline() as successor:
            await successor.message(CallerConnected)
            await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
            await house.pipeline.send(
                EndSession(session="s1", epoch=1, after_playout=False),
                PipelineAttached(session="s1", epoch=1, pipeline_worker=house.pipeline.id),
            )
            await successor.say("s1", tone(660, 0.2, 24_000).tobytes(), epoch=2)
            assert (await successor.message(PlayoutReported, state="finished")).played_up_to == 4_800
            assert stale() == 5 + 1 + 1
            async with woken_up(house) as awake:
                await awake.until(lambda: is_to(awake, "replaced"))
            assert not is_to(successor, "replaced")


def woken_up(house: RunningMediaWorker) -> PipelineStandIn:
    """The same pipeline worker again, which has been stopped meanwhile."""
    awake = house.another_pipeline(claims=False)
    awake.id = house.pipeline.id
    return awake


async def test_two_pipeline_workers_with_the_same_epoch_are_not_both_heard(house: RunningMediaWorker) -> None:
    async with calling(house), house.another_pipeline(claims=False) as second:
        await second.attach("s1", epoch=1)
        await second.message(SessionClosed, reason="replaced", epoch=1)
        await second.say("s1", tone(880, 0.5, 24_000).tobytes())
        await second.send(FlushPlayout(session="s1", epoch=1))
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        assert (await house.pipeline.message(PlayoutReported, state="finished")).played_up_to == 4_800
        assert not second.uplink("s1")


async def test_a_pipeline_worker_that_dies_before_it_attaches_is_replaced(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url, claims=False) as house:

        async def exchange(sdp: str) -> str:
            return await exchange_without_pipeline(house, sdp)

        async with Caller(exchange=exchange):
            async with asyncio.timeout(10):
                while not await broker.lpop(keys.jobs("default")):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            async with house.another_pipeline() as second:
                await second.message(CallerConnected)
                assert [(job.epoch, job.resumed) for job in second.jobs] == [(2, False)]


async def test_a_job_that_an_empty_broker_has_lost_comes_back(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url, claims=False) as house:

        async def exchange(sdp: str) -> str:
            return await exchange_without_pipeline(house, sdp)

        async with Caller(exchange=exchange):
            async with asyncio.timeout(10):
                while not await broker.exists(keys.jobs("default")):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await broker.flushall()
            async with house.another_pipeline() as second:
                await second.message(CallerConnected)
            async with asyncio.timeout(10):
                while not await broker.exists(keys.session("s1")):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def test_a_job_that_waits_its_turn_is_left_alone(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url, claims=False) as house:

        async def exchange(sdp: str) -> str:
            return await exchange_without_pipeline(house, sdp)

        async with Caller(exchange=exchange):
            jobs = house.context.jobs
            began_s = asyncio.get_running_loop().time()
            await eventually(lambda: jobs._looked_s > began_s + 2.5)  # longer than a claimed job is waited for
            async with house.another_pipeline() as second:
                await second.message(CallerConnected)
                assert [job.epoch for job in second.jobs] == [1]
        await house.gateway.message(SessionClosed)


async def test_without_a_pipeline_worker_the_session_ends_with_an_error(broker_url: str, broker: Redis) -> None:
    async with running_media_worker(broker_url, claims=False, media_pipeline_timeout_s=0.5) as house:

        async def exchange(sdp: str) -> str:
            return await exchange_without_pipeline(house, sdp)

        async with Caller(exchange=exchange) as caller:
            assert (await house.gateway.message(SessionClosed)).reason == "no_pipeline"
            events = [m.event for m in house.gateway.messages(ClientEventSent)]
            assert [e["code"] for e in events if e["type"] == "error"] == ["no_pipeline"]
            assert events[-1]["status"] == "ended"
            assert caller.microphone is not None
    assert not await broker.keys("antiphon:jobs:*") and not await broker.keys("*reserved:pipeline*")


async def test_without_another_pipeline_worker_the_session_ends_after_the_stated_time(broker_url: str) -> None:
    async with running_media_worker(broker_url, media_takeover_timeout_s=1) as house, calling(house) as call:
        await house.pipeline.die()
        assert await call.closed() == "no_pipeline"
        statuses = [e.get("status") for e in call.caller.channel_events if e["type"] == "status"]
        assert statuses[-2:] == ["reconnecting", "ended"]


async def test_what_the_caller_said_before_the_pipeline_came_is_kept_for_five_seconds(broker_url: str) -> None:
    async with running_media_worker(broker_url, claims=False) as house:

        async def exchange(sdp: str) -> str:
            return await exchange_without_pipeline(house, sdp)

        async with Caller(exchange=exchange):
            session = house.sessions["s1"]
            await eventually(lambda: session._uplink._seq >= 280)
            await house.pipeline.attach("s1")
            await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > 250)
            items = house.pipeline.uplink("s1")
            assert items[0].seq > 0
            assert all(before.end_sample == after.first_sample for before, after in pairwise(items)), "without a gap"


async def test_a_draining_pipeline_worker_goes_on_until_the_next_one_has_attached(house: RunningMediaWorker) -> None:
    async with calling(house) as call, house.another_pipeline(claims=False) as second:
        for task in house.pipeline._tasks[2:]:
            task.cancel()  # it claims no more jobs
        await house.pipeline.send(PipelineLeaving(session="s1", epoch=1))
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
        await second.attach("s1", epoch=2, uplink_from=None)
        await second.message(CallerConnected, played_up_to=4_800)
        assert (await house.pipeline.message(SessionClosed)).reason == "replaced"
        assert "reconnecting" not in [event.get("status") for event in call.caller.channel_events]
        await second.until(lambda: any(item.epoch == 2 for item in second.uplink("s1")))


async def until_jobs(broker: Redis, count: int) -> None:
    async with asyncio.timeout(5):
        while await broker.llen(keys.jobs("default")) != count:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


async def test_a_pipeline_worker_whose_drain_was_undone_keeps_its_session(
    house: RunningMediaWorker, broker: Redis
) -> None:
    async with calling(house) as call:
        for task in house.pipeline._tasks[2:]:
            task.cancel()  # it claims no more jobs
        await house.pipeline.send(PipelineLeaving(session="s1", epoch=1))
        await until_jobs(broker, 1)
        await house.pipeline.attach("s1", epoch=1)
        await until_jobs(broker, 0)
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
        assert house.pipeline.messages(SessionClosed) == []
        assert "reconnecting" not in [event.get("status") for event in call.caller.channel_events]


async def test_what_the_agent_had_said_in_advance_is_heard_until_its_successor_comes(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.say("s1", tone(660, 6, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="playing")
        await house.pipeline.die()
        await call.event_on_both_channels("status", status="reconnecting")
        async with house.another_pipeline() as successor:
            connected = await successor.message(CallerConnected)
            assert 24_000 < connected.played_up_to < 144_000
            assert call.session._downlink.is_idle


async def test_what_the_caller_types_while_they_have_no_agent_was_never_answered(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.die()
        await call.event_on_both_channels("status", status="reconnecting")
        call.tell_on_channel({"type": "text", "text": "are you there"})
        call.tell_on_channel({"type": "ping", "id": 1})
        await call.caller.wait_for(lambda: any(event["type"] == "pong" for event in call.caller.channel_events))
        async with house.another_pipeline() as successor:
            assert (await successor.message(TextReceived)).text == "are you there"
            messages = [item for item in successor.received if isinstance(item, CallerConnected | TextReceived)]
            assert isinstance(messages[0], CallerConnected)
            assert len(messages) == 2


# -- lost messages ----------------------------------------------------------------------------------------------------


async def test_a_goodbye_whose_end_was_lost_still_ends_the_call(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.send(
            AudioFrame("s1", 1, 0, 0, 24_000, 1, tone(660, 0.31, 24_000).tobytes()), EndSession(session="s1", epoch=1)
        )
        assert await call.closed() == "agent_hangup"


async def test_a_goodbye_is_heard_although_its_pipeline_worker_dies(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.say("s1", tone(660, 4, 24_000).tobytes())
        await house.pipeline.send(EndSession(session="s1", epoch=1))
        await house.pipeline.message(PlayoutReported, state="playing")
        await house.pipeline.die()
        assert await call.closed() == "agent_hangup"
        assert "reconnecting" not in [event.get("status") for event in call.caller.channel_events]


async def test_an_agent_whose_order_to_resume_was_lost_does_not_stay_silent(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="playing")
        await house.pipeline.send(PausePlayout(session="s1", epoch=1))
        paused = await house.pipeline.message(PlayoutReported, state="paused")
        reports = len(house.pipeline.messages(PlayoutReported))
        await house.pipeline.send(lost_before=1)
        await house.pipeline.until(lambda: len(house.pipeline.messages(PlayoutReported)) > reports)
        told = house.pipeline.messages(PlayoutReported)[reports]
        assert (told.state, told.played_up_to) == ("paused", paused.played_up_to)
        assert (await house.pipeline.message(PlayoutReported, state="finished")).played_up_to == 24_000


async def test_a_transcript_that_was_lost_on_its_way_is_shown(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        published = [
            PublishEvent(session="s1", epoch=1, type="transcript", fields={"text": str(n)}, number=n) for n in (1, 2, 3)
        ]
        await house.pipeline.send(published[0])
        await house.pipeline.send(published[2], lost_before=1)
        assert (await house.pipeline.message(EventsMissed)).published == 1
        await house.pipeline.send(*published[1:])
        await house.pipeline.send(published[0].model_copy(update={"number": 4, "fields": {"text": "4"}}))
        await call.event_on_both_channels("transcript", text="4")
        shown = [event["text"] for event in call.caller.channel_events if event["type"] == "transcript"]
        assert shown == ["1", "3", "2", "4"]


async def test_events_of_a_worker_that_knows_less_than_its_predecessor_are_not_taken_for_repeats(
    house: RunningMediaWorker,
) -> None:
    event = PublishEvent(session="s1", epoch=1, type="transcript", fields={"text": "five"}, number=5)
    async with calling(house) as call:
        await house.pipeline.send(event)
        await house.pipeline.send(lost_before=1)
        await house.pipeline.message(EventsMissed)
        await house.pipeline.die()
        async with house.another_pipeline() as successor:
            await successor.message(CallerConnected)
            await successor.send(event.model_copy(update={"epoch": 2, "number": 3, "fields": {"text": "three"}}))
            await call.event_on_both_channels("transcript", text="three")


async def test_a_typed_text_that_was_lost_on_its_way_is_sent_again_to_the_worker_that_had_it(
    house: RunningMediaWorker,
) -> None:
    async with calling(house) as call:
        for text in ("one", "two"):
            call.tell_on_channel({"type": "text", "text": text})
        await house.pipeline.message(TextReceived, number=2)
        await house.pipeline.send(TextsMissed(session="s1", epoch=1, received=1))
        await house.pipeline.until(lambda: len(house.pipeline.messages(TextReceived)) == 3)
        assert [(typed.number, typed.text) for typed in house.pipeline.messages(TextReceived)] == [
            (1, "one"),
            (2, "two"),
            (2, "two"),
        ]
        await house.pipeline.die()
        async with house.another_pipeline() as successor:
            await successor.message(CallerConnected)
            await successor.send(TextsMissed(session="s1", epoch=2, received=0))
            call.tell_on_channel({"type": "text", "text": "three"})
            await successor.message(TextReceived)
            # The others were answered. This one may be sent twice: as it is typed, and as one that was missed.
            assert {(typed.number, typed.text) for typed in successor.messages(TextReceived)} == {(3, "three")}


async def test_speech_whose_end_was_lost_is_over_at_last(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.send(AudioFrame("s1", 1, 0, 0, 24_000, 1, tone(660, 0.31, 24_000).tobytes()))
        await house.pipeline.message(PlayoutReported, state="playing")
        await house.pipeline.send(lost_before=1)
        await house.pipeline.message(PlayoutReported, state="finished", played_up_to=7_440)
        await house.pipeline.send(AgentSpeechEnded(session="s1", epoch=1, end_sample=7_440))
