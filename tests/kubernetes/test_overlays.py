"""The API server takes every object of every overlay as it is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(200, func_only=True)]

_OVERLAYS = Path(__file__).parents[2] / "deploy" / "k8s" / "overlays"
_CUSTOM = ("monitoring.coreos.com", "gateway.networking.k8s.io")
"""Kinds of operators that the cluster does not have. tests/deploy/kubernetes checks them against their schemas."""


@pytest.mark.parametrize("overlay", ["dev", "production-hostnetwork", "production-turn"])
async def test_the_api_server_takes_an_overlay(cluster: Cluster, keda: None, overlay: str) -> None:
    rendered = await cluster.kubectl("kustomize", str(_OVERLAYS / overlay))
    objects = [each for each in yaml.safe_load_all(rendered) if not each["apiVersion"].startswith(_CUSTOM)]
    namespaces = [each for each in objects if each["kind"] == "Namespace"]
    await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=_text(namespaces))
    try:
        checked = await cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=_text(objects))
    finally:
        await cluster.kubectl("delete", "-f", "-", stdin=_text(namespaces))
    assert len(checked.splitlines()) == len(objects) > len(namespaces)
    assert all(line.endswith("(server dry run)") for line in checked.splitlines())


def _text(objects: list[dict[str, Any]]) -> str:
    return yaml.safe_dump_all(objects)
