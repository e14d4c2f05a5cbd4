"""Events and control messages of a session."""

from media_worker.core.rate_limiter import BURST
from shared.events import InterruptRequested, MuteChanged, PlayoutReported, PublishEvent, TextReceived
from tests.fakes.counters import Gained
from tests.fakes.media_correspondents import RunningMediaWorker
from tests.fakes.patience import eventually
from tests.fakes.sounds import tone
from tests.media_worker.calls import calling
from tests.media_worker.test_peer import all_acknowledged


async def test_events_are_the_same_on_both_channels_and_numbered(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        fields = {"role": "agent", "text": "Grüß Gott"}
        await house.pipeline.send(PublishEvent(session="s1", epoch=1, type="transcript", fields=fields))
        event = await call.event_on_both_channels("transcript")
        assert (event["role"], event["text"], event["data"]) == ("agent", "Grüß Gott", fields)
        seqs = [event["seq"] for event in call.caller.channel_events]
        assert seqs == sorted(set(seqs))


async def test_what_was_published_before_the_channel_opened_is_not_lost(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        assert call.caller.channel_events[0]["type"] == "status"
        assert call.caller.channel_events[0]["status"] == "connecting"
        assert call.caller.channel_events[0]["seq"] == 1


async def test_control_messages_reach_the_pipeline(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.tell_on_channel({"type": "text", "text": "a table for two"})
        call.tell_on_channel({"type": "interrupt"})
        assert (await house.pipeline.message(TextReceived)).text == "a table for two"
        await house.pipeline.message(InterruptRequested)


async def test_a_ping_is_answered(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.tell_on_channel({"type": "ping", "id": 42})
        await call.caller.wait_for(lambda: any(e["type"] == "pong" for e in call.caller.channel_events))
        (pong,) = [e for e in call.caller.channel_events if e["type"] == "pong"]
        assert (pong["id"], pong["data"]) == (42, {"id": 42})


async def test_bad_messages_are_answered_with_an_error_and_harm_nothing(house: RunningMediaWorker) -> None:
    unknown = Gained("antiphon_media_control_unknown_total")
    async with calling(house) as call:
        for bad in ("{", "[]", '{"type": "text"}', "x" * 20_000, '{"type": "what"}'):
            call.tell_on_channel(bad)
        call.tell_on_channel({"type": "text", "text": "still here"})
        await house.pipeline.message(TextReceived, text="still here")

        def errors() -> list[str]:
            return [event["code"] for event in call.caller.channel_events if event["type"] == "error"]

        await call.caller.wait_for(lambda: len(errors()) == 4)
        assert errors() == ["bad_json", "bad_message", "bad_message", "message_too_large"]
        assert unknown() == 1


async def test_texts_over_the_rate_are_not_passed_on(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        for number in range(14):
            call.tell_on_channel({"type": "text", "text": f"question {number}"})
        await call.caller.wait_for(lambda: any(e["type"] == "error" for e in call.caller.channel_events))
        call.tell_on_channel({"type": "interrupt"})
        await house.pipeline.message(InterruptRequested, session="s1")
        assert len(house.pipeline.messages(TextReceived)) == 10


async def test_a_client_over_the_message_rate_gets_an_error_and_continues(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        for n in range(2 * BURST):
            call.tell_on_channel({"type": "mute", "muted": n % 2 == 0})
        error = await call.event_on_both_channels("error")
        assert error["code"] == "too_many_messages"
        await house.pipeline.until(lambda: len(house.pipeline.messages(MuteChanged)) >= BURST)
        assert len(house.pipeline.messages(MuteChanged)) < 2 * BURST
        call.tell_on_channel({"type": "mute", "muted": False})
        await house.pipeline.say("s1", tone(660, 0.5, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")


async def test_a_caller_who_floods_the_channel_is_ended_with_that_reason(house: RunningMediaWorker) -> None:
    async with calling(house, "s1") as flooding, calling(house, "s2"):
        channel = flooding.caller.channel
        assert channel is not None
        while channel.readyState == "open":
            for _ in range(BURST):
                flooding.tell_on_channel({"type": "ping", "id": 1})
            await eventually(lambda: all_acknowledged(channel) or channel.readyState != "open")
        assert await flooding.closed() == "too_many_messages"
        await house.pipeline.say("s2", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, session="s2", state="finished")


async def test_a_caller_without_a_data_channel_talks_too(house: RunningMediaWorker) -> None:
    async with calling(house, data=False):
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
