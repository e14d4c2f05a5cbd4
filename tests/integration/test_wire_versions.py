"""A rolling update to a release with another wire version: for a while there are workers of both."""

import asyncio

import pytest

from callers.caller import Caller
from callers.signaling import NotConnected
from tests.fakes.ports import free_port
from tests.integration.deployment import Deployment, deployed, started

pytestmark = pytest.mark.timeout(90)


def other(service: str, deployment: Deployment) -> dict[str, str]:
    return {
        "SERVICE": service,
        "ANTIPHON_REDIS_URL": deployment.broker_url,
        "ANTIPHON_PROBE_PORT": str(free_port()),
        "ANTIPHON_PUBLIC_IPS": "127.0.0.1",
    }


async def test_during_an_update_calls_go_only_to_workers_that_understand_each_other(broker_url: str) -> None:
    """Half of the offers waited for an answer that could not come, and jobs vanished with workers that could not
    read them."""
    module = "tests.fakes.other_wire_version"
    async with deployed(broker_url) as deployment:
        with (
            started(module, **other("media_worker", deployment)) as media,
            started(module, **other("pipeline_worker", deployment)) as pipeline,
        ):
            async with asyncio.timeout(40):
                while deployment.logs().count("worker_of_another_wire_version") < 2:  # noqa: ASYNC110 (other processes)
                    await asyncio.sleep(0.1)
            for _ in range(4):
                async with asyncio.timeout(10), Caller(deployment.signaling_url, "echo") as caller:
                    await caller.wait_for_status("listening")
                    await caller.hang_up()
            assert media.metric("antiphon_media_sessions_opened_total") == 0

            deployment.media.kill()
            await asyncio.sleep(5.0)  # the lease of the only worker that we understand ends
            with pytest.raises(NotConnected) as refused:
                async with asyncio.timeout(10), Caller(deployment.signaling_url, "echo"):
                    pass
            assert refused.value.code == "no_capacity"

            assert media.is_running and pipeline.is_running
            foreign = "\n".join(media.log + pipeline.log)
            assert "malformed" not in foreign + deployment.logs()
            assert deployment.logs().count("worker_of_another_wire_version") == 2
