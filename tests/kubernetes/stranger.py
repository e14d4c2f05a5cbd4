"""A pod of another namespace, where no network policy holds anything back."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.containers.compose import IMAGE
from tests.kubernetes.cluster import Cluster

_NAMESPACE = "outside"
_ECHO = """
import socket
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind(("", 40000))
while True:
    listener.sendto(*listener.recvfrom(2000))
"""
"""On the port that media workers have."""


class Stranger:
    """It sends back every UDP packet to port 40000. `address` is its own."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.address = address
        self._cluster = cluster

    async def python(self, program: str, *arguments: str) -> str:
        """What a program prints there. Raises `CommandFailed`."""
        command = ("exec", "stranger", "--", "python3", "-c", program, *arguments)
        return await self._cluster.kubectl("-n", _NAMESPACE, *command)


@contextlib.asynccontextmanager
async def stranger(cluster: Cluster) -> AsyncIterator[Stranger]:
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(_manifests()))
    try:
        await cluster.kubectl("-n", _NAMESPACE, "wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")
        pod = await cluster.get("-n", _NAMESPACE, "pod", "stranger")
        yield Stranger(cluster, pod["status"]["podIP"])
    finally:
        await cluster.kubectl("delete", "namespace", _NAMESPACE, "--timeout=60s")


def _manifests() -> dict[str, Any]:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": _NAMESPACE},
        "spec": {
            "containers": [{"name": "stranger", "image": IMAGE, "command": ["python3", "-c", _ECHO]}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    return {"apiVersion": "v1", "kind": "List", "items": [namespace, pod]}
