"""Two zones: callers are served within the gateway's zone, and by the other one where a process is missing or full."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conforming_caller import ConformingCaller as Caller
from tests.integration.deployment import Deployment, Service, deployed

Record = Callable[[str, object], None]

_CALLS = 4


async def _call(deployment: Deployment) -> tuple[Service, Service, float]:
    """The media and the pipeline worker that served a call of the echo, and the seconds until the agent listened."""
    before, began_s = await asyncio.to_thread(_served, deployment), time.monotonic()
    async with Caller(deployment.signaling_url, "echo") as caller:
        await caller.wait_for_status("listening")
        listened_s = time.monotonic() - began_s
    after = await asyncio.to_thread(_served, deployment)
    media, pipeline = (service for service, count in after.items() if count > before[service])
    return media, pipeline, listened_s


def _served(deployment: Deployment) -> dict[Service, float]:
    """How many sessions each worker has had, media workers first."""
    media = {each: each.metric("antiphon_media_sessions_opened_total") for each in deployment.running("media")}
    pipeline = {each: sum("session_started" in line for line in each.log) for each in deployment.running("pipeline")}
    return media | pipeline


async def _calls(deployment: Deployment) -> tuple[set[tuple[Service, Service]], list[float]]:
    calls = [await _call(deployment) for _ in range(_CALLS)]
    return {(media, pipeline) for media, pipeline, _ in calls}, [seconds for *_, seconds in calls]


@pytest.mark.timeout(180)
async def test_a_zone_serves_its_callers_and_the_other_one_helps_out(
    broker_url: str, tmp_path: Path, record_property: Record
) -> None:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")  # no engines to load
    async with deployed(
        broker_url,
        media_workers=0,
        pipeline_workers=0,
        settings_of={"gateway": {"ANTIPHON_ZONE": "a"}},
        ANTIPHON_AGENTS_DIR=str(tmp_path),
    ) as deployment:
        media_a, media_b = (deployment.start("media", ANTIPHON_ZONE=zone) for zone in "ab")
        pipeline_a, pipeline_b = (deployment.start("pipeline", ANTIPHON_ZONE=zone) for zone in "ab")
        await deployment.ready()

        served, own_s = await _calls(deployment)
        too_late = any("zone_without_pipeline_worker" in line for line in media_a.log)  # on a busy machine
        assert (media_a, pipeline_a) in served
        assert served == {(media_a, pipeline_a)} or (too_late and {media for media, _ in served} == {media_a})

        await asyncio.to_thread(pipeline_a.stop)
        served, without_pipeline_s = await _calls(deployment)
        assert served == {(media_a, pipeline_b)}

        await asyncio.to_thread(media_a.stop)
        served, other_s = await _calls(deployment)
        assert served == {(media_b, pipeline_b)}

        media_full = deployment.start("media", ANTIPHON_ZONE="a", ANTIPHON_MEDIA_CAPACITY="1")
        pipeline_full = deployment.start("pipeline", ANTIPHON_ZONE="a", ANTIPHON_PIPELINE_CAPACITY="1")
        await deployment.ready()
        await asyncio.sleep(1.0)  # gateways poll reports twice a second
        async with Caller(deployment.signaling_url, "echo") as first:
            await first.wait_for_status("listening")
            assert (
                media_full.metric("antiphon_media_sessions") == pipeline_full.metric("antiphon_pipeline_sessions") == 1
            )
            async with Caller(deployment.signaling_url, "echo") as second:
                await second.wait_for_status("listening")
                assert media_b.metric("antiphon_media_sessions") == pipeline_b.metric("antiphon_pipeline_sessions") == 1

    for what, seconds in (
        ("own zone", own_s),
        ("no pipeline worker in the zone", without_pipeline_s),
        ("other zone", other_s),
    ):
        record_property(f"seconds until the agent listens, {what}", [round(each, 3) for each in seconds])
        print(f"seconds until the agent listens, {what}:", [round(each, 3) for each in seconds])
