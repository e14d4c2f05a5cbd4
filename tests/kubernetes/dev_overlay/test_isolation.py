"""What the pods may do, and who reaches them, as the cluster enforces it."""

import json
from typing import Any

import pytest

from tests.containers.compose import IMAGE
from tests.kubernetes.cluster import CommandFailed
from tests.kubernetes.dev_overlay.conftest import MEDIA, SERVICES
from tests.kubernetes.installation import NAMESPACE, Deployment, Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(200, func_only=True)]

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
_WRITE = "import sys; open(sys.argv[1], 'w')"
_REFUSED = r"refused|timed out|unreachable"
_API_SERVER = "kubernetes.default.svc.cluster.local"
_OUTSIDE = "outside"


async def test_a_privileged_pod_is_refused(dev: Installation) -> None:
    with pytest.raises(CommandFailed, match="violates PodSecurity"):
        await dev.cluster.kubectl("-n", NAMESPACE, "run", "intruder", f"--image={IMAGE}", "--privileged")


@pytest.mark.parametrize("service", SERVICES)
async def test_the_root_is_read_only_and_the_user_is_not_root(dev: Installation, service: Deployment) -> None:
    assert (await dev.python(service, "import os; print(os.getuid())")).strip() == "10001"
    await dev.python(service, _WRITE, "/tmp/file")
    for path in ("/file", "/opt/antiphon/app/shared/ids.py", "/etc/passwd"):
        with pytest.raises(CommandFailed, match=r"Read-only file system|Permission denied"):
            await dev.python(service, _WRITE, path)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reaches_the_broker_and_not_the_cluster(dev: Installation, service: Deployment) -> None:
    await dev.python(service, _CONNECT, "valkey", "6379")
    for host, port in ((_API_SERVER, "443"), ("gateway", "9090")):
        with pytest.raises(CommandFailed, match=_REFUSED):
            await dev.python(service, _CONNECT, host, port)


async def test_a_stranger_reaches_the_gateways_port_alone(dev: Installation) -> None:
    cluster = dev.cluster
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(_stranger()))
    try:
        await cluster.kubectl("-n", _OUTSIDE, "wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")

        async def connect(host: str, port: str) -> None:
            await cluster.kubectl("-n", _OUTSIDE, "exec", "stranger", "--", "python3", "-c", _CONNECT, host, port)

        await connect(f"gateway.{NAMESPACE}", "8080")
        await connect(_API_SERVER, "443")  # nothing holds the stranger itself back
        media = (await cluster.get("-n", NAMESPACE, "pod", (await dev.pods(MEDIA))[0]))["status"]["podIP"]
        for host, port in ((f"valkey.{NAMESPACE}", "6379"), (f"gateway.{NAMESPACE}", "9090"), (media, "9090")):
            with pytest.raises(CommandFailed, match=_REFUSED):
                await connect(host, port)
    finally:
        await cluster.kubectl("delete", "namespace", _OUTSIDE, "--wait=false")


def _stranger() -> dict[str, Any]:
    """A pod of another namespace that sleeps."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _OUTSIDE}}
    container = {
        "name": "stranger",
        "image": IMAGE,
        "command": ["python3", "-c", "import time; time.sleep(600)"],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": _OUTSIDE},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    return {"apiVersion": "v1", "kind": "List", "items": [namespace, pod]}
