"""Secrets and ConfigMaps that pods name exist, or are made by deploy/k8s/secrets.sh, or are documented."""

import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.deploy.kubernetes.manifests import OVERLAYS, ROOT, Manifest, containers, manifests, pod_of, workloads

DOCUMENTED = {"antiphon-engines", "antiphon-tls", "antiphon-turn-tls"}
"""Whoever deploys makes these: docs/deployment.md."""


def of_script(overlay: str) -> list[Manifest]:
    if not overlay.startswith("production"):
        return []
    script = ROOT / "deploy/k8s/secrets.sh"
    done = subprocess.run(["sh", script, overlay, "redis://r"], capture_output=True, text=True, check=True, timeout=30)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def references(workload: Manifest) -> Iterator[tuple[str, str, set[str]]]:
    """(kind, name, keys that must be there)."""
    for volume in pod_of(workload)["volumes"]:
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], set()
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], set()
    for container in containers(workload):
        for source in container.get("envFrom", []):
            for kind, key in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
                if key in source:
                    yield kind, source[key]["name"], set()
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                reference = variable["valueFrom"]["secretKeyRef"]
                yield "Secret", reference["name"], {reference["key"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_pods_refer_to_exists_or_is_documented(overlay: str) -> None:
    there = {
        (one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): set(one["data"])
        for one in [*manifests(overlay, "Secret", "ConfigMap"), *of_script(overlay)]
    }
    for workload in workloads(overlay):
        for kind, name, keys in references(workload):
            if name not in DOCUMENTED:
                assert keys <= there[kind, workload["metadata"]["namespace"], name]


def test_the_documentation_names_each_secret_that_is_not_ours() -> None:
    text = (ROOT / "docs/deployment.md").read_text()
    assert [name for name in sorted(DOCUMENTED) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("arguments", [[], ["dev"], ["production"], ["production-turn"]], ids=" ".join)
def test_secrets_are_not_made_for_an_unknown_overlay_or_without_the_url_of_redis(arguments: list[str]) -> None:
    script = ROOT / "deploy/k8s/secrets.sh"
    done = subprocess.run(["sh", script, *arguments], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "production-turn REDIS_URL" in done.stderr
