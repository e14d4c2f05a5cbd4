"""Antiphon in a namespace of the cluster: its pods, and what happens to them."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from shared.settings import BUNDLED_AGENTS
from tests.integration.talk import write_agent
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.crowd import AGENT, TEXT

NAMESPACE = "antiphon"
ADMIN_KEY = "antiphon_dev_admin"
SERVICES = ("gateway", "media-worker", "pipeline-worker")
_TESTS = Path(__file__).parents[1]
_OVERLAYS = Path(__file__).parent / "overlays"
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


class Installation:
    """`address` is that of the gateway's Service."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.cluster = cluster
        self.address = address

    @classmethod
    async def of(cls, cluster: Cluster, overlay: str, folder: Path) -> "Installation":
        """Apply an overlay of this folder, and wait until every pod is ready. Agents are written to `folder`."""
        await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(_beforehand(folder)))
        await cluster.apply(_OVERLAYS / overlay)
        await cluster.rolled_out(NAMESPACE, *SERVICES)
        service = await cluster.get("-n", NAMESPACE, "service", "gateway")
        return cls(cluster, service["spec"]["clusterIP"])

    async def remove(self) -> None:
        await self.cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        # Nothing talks any more, and the grace period is an hour.
        await self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
        await self.cluster.kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=120s")

    @property
    def signaling_url(self) -> str:
        return f"ws://{self.address}:8080/signaling"

    async def kubectl(self, *arguments: str, **options: Any) -> str:
        return await self.cluster.kubectl("-n", NAMESPACE, *arguments, **options)

    async def pods(self, service: str) -> list[str]:
        """Names of those that are not being deleted."""
        found = await self.cluster.get("-n", NAMESPACE, "pods", "-l", f"app.kubernetes.io/component={service}")
        return [pod["metadata"]["name"] for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    async def gone(self, pods: list[str]) -> None:
        """Wait until these pods are gone, which is when they have drained."""
        async with asyncio.timeout(_GONE_TIMEOUT_S):
            while True:
                found = await self.cluster.get("-n", NAMESPACE, "pods")
                if not {pod["metadata"]["name"] for pod in found["items"]} & set(pods):
                    return
                await asyncio.sleep(_LOOK_EVERY_S)

    async def restart(self, service: str) -> None:
        """A rolling update, until the last old pod is gone."""
        old = await self.pods(service)
        await self.kubectl("rollout", "restart", f"deployment/{service}")
        await self.cluster.rolled_out(NAMESPACE, service)
        await self.gone(old)

    async def sessions(self) -> list[dict[str, Any]]:
        return list((await self.api("sessions"))["sessions"])

    async def api(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with httpx.AsyncClient(base_url=f"http://{self.address}:8080/api/", headers=headers) as client:
            reply = await client.get(path)
        reply.raise_for_status()
        answer: dict[str, Any] = reply.json()
        return answer


def _beforehand(folder: Path) -> dict[str, Any]:
    """The namespace, which gets its labels from the overlay, with the agents and the engines that they name."""
    write_agent(folder, TEXT, AGENT)
    agents = {f"{AGENT}.yaml": folder / f"{AGENT}.yaml", "echo.yaml": BUNDLED_AGENTS / "echo.yaml"}
    engines = {key: _TESTS / file for key, file in _ENGINE_FILES.items()}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    configs = [_config("test-agents", agents), _config("test-engines", engines)]
    return {"apiVersion": "v1", "kind": "List", "items": [namespace, *configs]}


def _config(name: str, files: Mapping[str, Path]) -> dict[str, Any]:
    data = {key: file.read_text(encoding="utf-8") for key, file in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}
