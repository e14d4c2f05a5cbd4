"""Audio of a session, both ways."""

import itertools
import time

import pytest
from aioice import ice as aioice_ice

from callers.voice import RATE
from shared.events import FlushPlayout, MuteChanged, PausePlayout, PlayoutReported, ResumePlayout, TalkChanged
from shared.frames import AudioFrame, SilenceRun
from tests.fakes.media_correspondents import RunningMediaWorker, running_media_worker
from tests.fakes.patience import eventually
from tests.fakes.sounds import strength, tone
from tests.media_worker.calls import calling, hears


async def test_each_side_hears_the_other(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.caller.microphone.play(tone(440, 2, RATE))
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        report = await house.pipeline.message(PlayoutReported, state="finished")
        assert report.played_up_to == 24_000
        await call.caller.wait_for(lambda: hears(call.caller, 660))
        await house.pipeline.until(lambda: strength(call.heard_up()[-8_000:], 440, 16_000) > 0.5)


async def test_each_side_hears_the_other_over_ipv6(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice_ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["::1"])
    async with running_media_worker(broker_url, public_ips="::1") as house, calling(house) as call:
        assert "candidate:1 1 udp" in call.answer and "127.0.0.1" not in call.answer
        call.caller.microphone.play(tone(440, 2, RATE))
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await call.caller.wait_for(lambda: hears(call.caller, 660))
        await house.pipeline.until(lambda: strength(call.heard_up()[-8_000:], 440, 16_000) > 0.5)


async def test_encoder_complexity_follows_the_load(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_media_worker(broker_url, media_complexity=3) as house, calling(house) as call:
        assert call.session._downlink.complexity == 3
        monkeypatch.setattr(house.worker._admission, "complexity", lambda wanted, core_share: wanted - 2)
        await eventually(lambda: call.session._downlink.complexity == 1)
        async with calling(house, "s2") as later:
            assert later.session._downlink.complexity == 1


async def test_the_callers_time_line_has_no_gap(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > 60)
        items = house.pipeline.uplink("s1")
        assert call.id == "s1"
    assert items[0].first_sample == 0
    for before, after in itertools.pairwise(items):
        assert (after.seq, after.first_sample) == (before.seq + 1, before.end_sample)


async def test_a_flush_silences_the_agent_and_says_what_was_heard(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        await house.pipeline.say("s1", tone(660, 2, 24_000).tobytes())
        began = await house.pipeline.message(PlayoutReported, state="playing")
        assert began.at_unix_ms == pytest.approx(time.time() * 1000, abs=60_000)
        await house.pipeline.send(FlushPlayout(session="s1", epoch=1))
        report = await house.pipeline.message(PlayoutReported, state="flushed")
        assert 0 < report.played_up_to < 48_000
        assert call.session._downlink.is_idle


async def test_a_pause_can_be_resumed(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.say("s1", tone(660, 1, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="playing")
        await house.pipeline.send(PausePlayout(session="s1", epoch=1))
        paused = await house.pipeline.message(PlayoutReported, state="paused")
        assert paused.played_up_to < 24_000
        await house.pipeline.send(ResumePlayout(session="s1", epoch=1))
        finished = await house.pipeline.message(PlayoutReported, state="finished")
        assert finished.played_up_to == 24_000


async def test_a_muted_caller_is_silence_and_can_be_heard_again(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        call.caller.microphone.play(tone(440, 6, RATE))
        await house.pipeline.until(lambda: strength(call.heard_up()[-3_200:], 440, 16_000) > 0.5)
        call.tell_on_channel({"type": "mute"})
        await house.pipeline.message(MuteChanged, muted=True)
        muted_at = len(house.pipeline.uplink("s1"))
        await house.pipeline.until(lambda: len(house.pipeline.uplink("s1")) > muted_at + 20)
        assert all(isinstance(item, SilenceRun) for item in house.pipeline.uplink("s1")[muted_at + 1 :])
        call.tell_on_channel({"type": "mute", "data": {"muted": False}})
        await house.pipeline.message(MuteChanged, muted=False)
        heard = len(call.heard_up())
        await house.pipeline.until(lambda: len(call.heard_up()) > heard + 3_200)


async def test_the_push_to_talk_button_reaches_the_pipeline(house: RunningMediaWorker) -> None:
    async with calling(house) as call:
        for pressed in (True, False):
            call.tell_on_channel({"type": "talk", "pressed": pressed})
            await house.pipeline.message(TalkChanged, pressed=pressed)


async def test_audio_at_a_refused_rate_does_not_harm_the_session(house: RunningMediaWorker) -> None:
    async with calling(house):
        await house.pipeline.send(AudioFrame("s1", 1, 0, 0, 22_050, 1, bytes(4_410)))
        await house.pipeline.say("s1", tone(660, 0.2, 24_000).tobytes())
        await house.pipeline.message(PlayoutReported, state="finished")
