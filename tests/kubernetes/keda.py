"""KEDA, compiled here and installed from its own manifests."""

import asyncio
import subprocess
from pathlib import Path

from tests.kubernetes.cluster import Cluster

_SCRIPT = Path(__file__).with_suffix(".sh")
_BUILD_TIMEOUT_S = 900.0


async def install_keda(cluster: Cluster) -> None:
    """Until it takes ScaledObjects and answers autoscalers. The first time it is compiled, for four minutes."""
    manifests = await asyncio.to_thread(_load, cluster)
    await cluster.kubectl("apply", "--server-side", "-f", str(manifests))
    available = ("wait", "--for=condition=Available", "--timeout=120s")
    await cluster.kubectl("-n", "keda", *available, "deployment", "--all")
    await cluster.kubectl(*available, "apiservice/v1beta1.external.metrics.k8s.io")


def _load(cluster: Cluster) -> Path:
    """Its images onto the nodes. Returns the file of its manifests."""
    built = subprocess.run([_SCRIPT], check=True, stdout=subprocess.PIPE, text=True, timeout=_BUILD_TIMEOUT_S)
    folder = Path(built.stdout.strip())
    cluster.load(*folder.glob("*.tar"))
    return folder / "keda.yaml"
