"""`antiphon load` as Jobs of the cluster: a leader and two helpers, each with callers of its own."""

import json

import pytest

from callers.load.results import LoadReport
from tests.integration.talk import Record
from tests.kubernetes.installation import OVERLAYS, Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300, func_only=True)]

_NAMESPACE = "antiphon-load"
_CALLERS = 9
_SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "antiphon-load", "namespace": _NAMESPACE},
    "stringData": {"link-key": "only for this test", "api-key": "antiphon_dev"},
}


async def test_jobs_call_the_server_from_three_hosts(dev: Installation, record_property: Record) -> None:
    cluster = dev.cluster
    await cluster.kubectl("apply", "--server-side", "-k", str(OVERLAYS / "load"))
    try:
        await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(_SECRET))
        job = "job/antiphon-load"
        await cluster.kubectl("-n", _NAMESPACE, "wait", "--for=condition=Complete", job, "--timeout=150s")
        log = await cluster.kubectl("-n", _NAMESPACE, "logs", job)
    finally:
        await cluster.kubectl("delete", "namespace", _NAMESPACE, "--wait=false")
    report = LoadReport.from_json(log[log.index("\n{") : log.index("\n}") + 2])
    (stage,), hosts = report.stages, report.environment.hosts
    set_up, heard = stage.set_up.total_ms, stage.audio.mouth_to_ear_ms
    assert set_up is not None and heard is not None
    record_property(
        "antiphon load as Jobs",
        f"{stage.callers_connected} callers from {len(hosts)} hosts: set-up p95 {set_up.p95:.0f} ms, "
        f"mouth to ear p50 {heard.p50:.0f} ms, loss {stage.audio.loss_percent} %",
    )
    assert len(hosts) == 3
    assert stage.callers_connected == _CALLERS
    assert stage.errors == {}
