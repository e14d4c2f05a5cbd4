"""One media worker and six pipeline workers: its sessions keep to four of them, each with its share."""

import contextlib
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.conforming_caller import ConformingCaller as Caller
from tests.integration.deployment import deployed

_CALLERS = 16


@pytest.mark.timeout(180)
async def test_the_sessions_of_a_media_worker_keep_to_four_of_six_pipeline_workers(
    broker_url: str, tmp_path: Path
) -> None:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")  # no engines to load
    async with (
        deployed(broker_url, pipeline_workers=6, ANTIPHON_AGENTS_DIR=str(tmp_path)) as deployment,
        contextlib.AsyncExitStack() as calls,
    ):
        await deployment.ready()
        for _ in range(_CALLERS):
            caller = await calls.enter_async_context(Caller(deployment.signaling_url, "echo"))
            await caller.wait_for_status("listening")
        served = Counter(
            {
                index: sum("session_started" in line for line in worker.log)
                for index, worker in enumerate(deployment.running("pipeline"))
            }
        )
        print("sessions of each pipeline worker:", dict(served))
        most = [count for _, count in served.most_common()]
        assert sum(most) == _CALLERS
        # A busy machine may take longer than a twentieth of a second; then another worker has the session.
        moved_on = _CALLERS - sum(most[:4])
        assert moved_on <= 3
        assert most[3] >= 2, "they share the sessions"
