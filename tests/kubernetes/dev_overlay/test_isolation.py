"""What the pods may do, and who reaches them, as the cluster enforces it."""

import pytest

from tests.containers.compose import IMAGE
from tests.kubernetes.cluster import CommandFailed
from tests.kubernetes.dev_overlay.conftest import MEDIA, SERVICES
from tests.kubernetes.installation import NAMESPACE, Deployment, Installation
from tests.kubernetes.stranger import stranger

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(200, func_only=True)]

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
_WRITE = "import sys; open(sys.argv[1], 'w')"
_REFUSED = r"refused|timed out|unreachable"
_API_SERVER = "kubernetes.default.svc.cluster.local"


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
    async with stranger(dev.cluster) as outside:
        await outside.python(_CONNECT, f"gateway.{NAMESPACE}", "8080")
        await outside.python(_CONNECT, _API_SERVER, "443")  # nothing holds the stranger itself back
        media = (await dev.cluster.get("-n", NAMESPACE, "pod", (await dev.pods(MEDIA))[0]))["status"]["podIP"]
        for host, port in ((f"valkey.{NAMESPACE}", "6379"), (f"gateway.{NAMESPACE}", "9090"), (media, "9090")):
            with pytest.raises(CommandFailed, match=_REFUSED):
                await outside.python(_CONNECT, host, port)
