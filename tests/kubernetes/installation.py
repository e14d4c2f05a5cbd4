"""Antiphon on the cluster: its pods, and what happens to them."""

import asyncio
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from shared.settings import BUNDLED_AGENTS
from tests.integration.talk import write_agent
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.crowd import AGENT, TEXT

NAMESPACE = "antiphon"
_TESTS = Path(__file__).parents[1]
OVERLAYS = Path(__file__).parent / "overlays"
_ENGINE_FILES = {
    "tests": "__init__.py",
    "load": "load/__init__.py",
    "tone_words": "load/tone_words.py",
    "engines": "load/engines/__init__.py",
    "fixed_lm": "load/engines/fixed_lm.py",
    "fixed_stt": "load/engines/fixed_stt.py",
    "fixed_tts": "load/engines/fixed_tts.py",
}
_LOOK_EVERY_S = 0.5
_GONE_TIMEOUT_S = 180.0


class Deployment(NamedTuple):
    name: str
    namespace: str = NAMESPACE


class Installation:
    """`address` is that of the gateway's Service."""

    address: str

    def __init__(self, cluster: Cluster, deployments: Collection[Deployment], admin_key: str) -> None:
        self.cluster = cluster
        self._deployments = deployments
        self._admin_key = admin_key

    @classmethod
    async def of(
        cls,
        cluster: Cluster,
        overlay: str,
        deployments: Collection[Deployment],
        folder: Path,
        admin_key: str,
        secrets: str = "",
    ) -> "Installation":
        """Apply an overlay of this folder, and wait until every pod is ready. Agents are written to `folder`."""
        for namespace in {deployment.namespace for deployment in deployments}:
            await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(_beforehand(namespace, folder)))
        if secrets:
            await cluster.kubectl("apply", "-f", "-", stdin=secrets)
        installation = cls(cluster, deployments, admin_key)
        await installation.apply(overlay)
        service = await cluster.get("-n", NAMESPACE, "service", "gateway")
        installation.address = service["spec"]["clusterIP"]
        return installation

    async def apply(self, overlay: str) -> None:
        await self.cluster.kubectl("apply", "--server-side", "-k", str(OVERLAYS / overlay))
        await self._rolled_out()

    async def remove(self) -> None:
        namespaces = {deployment.namespace for deployment in self._deployments}
        for namespace in namespaces:
            await self.cluster.kubectl("delete", "namespace", namespace, "--wait=false")
            # Nothing talks any more, and the grace period is an hour.
            await self.cluster.kubectl("-n", namespace, "delete", "pods", "--all", "--grace-period=0", "--force")
        for namespace in namespaces:
            await self.cluster.kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=120s")

    @property
    def signaling_url(self) -> str:
        return f"ws://{self.address}:8080/signaling"

    async def pods(self, deployment: Deployment) -> list[str]:
        """Names of those that are not being deleted."""
        return [
            pod["metadata"]["name"]
            for pod in await self._all_pods(deployment)
            if "deletionTimestamp" not in pod["metadata"]
        ]

    async def restart(self, deployment: Deployment) -> None:
        """A rolling update, until the last old pod is gone, which is when it has drained."""
        old = set(await self.pods(deployment))
        await self.cluster.kubectl("-n", deployment.namespace, "rollout", "restart", f"deployment/{deployment.name}")
        await self.cluster.rolled_out(deployment.namespace, deployment.name)
        async with asyncio.timeout(_GONE_TIMEOUT_S):
            while old & {pod["metadata"]["name"] for pod in await self._all_pods(deployment)}:  # noqa: ASYNC110 (the cluster has no event for us)
                await asyncio.sleep(_LOOK_EVERY_S)

    async def delete(self, deployment: Deployment, pod: str) -> None:
        """Without grace: its processes are killed two seconds later."""
        await self.cluster.kubectl("-n", deployment.namespace, "delete", "pod", pod, "--grace-period=0", "--force")

    async def drain(self, node: str) -> None:
        """Evicts what runs there, as budgets allow."""
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=220s")
        await self.cluster.kubectl("drain", node, *options, timeout_s=230)

    async def undo_drain(self, node: str) -> None:
        await self.cluster.kubectl("uncordon", node)
        await self._rolled_out()

    async def python(self, deployment: Deployment, program: str, *arguments: str) -> str:
        """What a program prints in one of the pods. Raises `CommandFailed`."""
        (pod, *_) = await self.pods(deployment)
        command = ("exec", pod, "--", "python3", "-c", program, *arguments)
        return await self.cluster.kubectl("-n", deployment.namespace, *command)

    async def sessions(self) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._admin_key}"}
        async with httpx.AsyncClient(base_url=f"http://{self.address}:8080/api/", headers=headers) as client:
            reply = await client.get("sessions")
        reply.raise_for_status()
        return list(reply.json()["sessions"])

    async def _rolled_out(self) -> None:
        for deployment in self._deployments:
            await self.cluster.rolled_out(deployment.namespace, deployment.name)

    async def _all_pods(self, deployment: Deployment) -> list[dict[str, Any]]:
        found = await self.cluster.get("-n", deployment.namespace, "pods")
        return [pod for pod in found["items"] if pod["metadata"]["name"].startswith(f"{deployment.name}-")]


def _beforehand(namespace: str, folder: Path) -> dict[str, Any]:
    """The namespace, which gets its labels from the overlay, with the agents and the engines that they name."""
    write_agent(folder, TEXT, AGENT)
    agents = {f"{AGENT}.yaml": folder / f"{AGENT}.yaml", "echo.yaml": BUNDLED_AGENTS / "echo.yaml"}
    engines = {key: _TESTS / file for key, file in _ENGINE_FILES.items()}
    configs = [_config(namespace, "test-agents", agents), _config(namespace, "test-engines", engines)]
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    return {"apiVersion": "v1", "kind": "List", "items": [named, *configs]}


def _config(namespace: str, name: str, files: Mapping[str, Path]) -> dict[str, Any]:
    data = {key: file.read_text(encoding="utf-8") for key, file in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}
