"""The manifests of the overlays, as `kubectl kustomize` renders them."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".venv-k8s" / "bin"
OVERLAYS = ("dev", "production-hostnetwork", "production-turn")
OPTIONAL = ("hpa/media-worker", "hpa/pipeline-worker")
"""Components that no overlay uses."""

WORKLOADS = ("Deployment", "StatefulSet")

Manifest = dict[str, Any]


def run_tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs one of the tools of requirements-k8s.lock."""
    assert (TOOLS / name).exists(), "no tools for Kubernetes: run `make .venv-k8s/installed`"
    return subprocess.run([TOOLS / name, *arguments], capture_output=True, text=True, timeout=100)


@cache
def rendered(overlay: str) -> str:
    done = run_tool("kubectl", "kustomize", ROOT / "deploy/k8s/overlays" / overlay)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def _parsed(overlay: str) -> list[Manifest]:
    return list(yaml.safe_load_all(rendered(overlay)))


def manifests(overlay: str, *kinds: str) -> list[Manifest]:
    return [one for one in _parsed(overlay) if not kinds or one["kind"] in kinds]


def workloads(overlay: str) -> list[Manifest]:
    return manifests(overlay, *WORKLOADS)


def our_workloads(overlay: str) -> list[tuple[str, Manifest]]:
    """Our own services, each with its component's name."""
    found = [(one["spec"]["template"]["metadata"]["labels"], one) for one in workloads(overlay)]
    return [
        (labels["app.kubernetes.io/component"], one)
        for labels, one in found
        if labels["app.kubernetes.io/name"] == "antiphon"
    ]


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata'].get('namespace', '')}/{manifest['metadata']['name']}"


def pod_of(workload: Manifest) -> Manifest:
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Manifest) -> list[Manifest]:
    listed: list[Manifest] = pod_of(workload)["containers"]
    return listed


def environment(overlay: str, workload: Manifest) -> dict[str, str | None]:
    """What a container of ours finds; None for values that only the cluster knows. `env` comes before `envFrom`."""
    values: dict[str, str | None] = {}
    for container in containers(workload):
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                values |= find(overlay, "ConfigMap", workload, source["configMapRef"]["name"])["data"]
        values |= {entry["name"]: entry.get("value") for entry in container.get("env", [])}
    return values


def find(overlay: str, kind: str, beside: Manifest, name: str) -> Manifest:
    """The manifest of this name in the namespace of `beside`."""
    namespace = beside["metadata"]["namespace"]
    (one,) = (
        m for m in manifests(overlay, kind) if m["metadata"]["name"] == name and m["metadata"]["namespace"] == namespace
    )
    return one


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector, which may be empty, matches."""
    operators = {"In": lambda value, values: value in values, "NotIn": lambda value, values: value not in values}
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        operators[one["operator"]](labels.get(one["key"]), one["values"])
        for one in selector.get("matchExpressions", [])
    )


def selected(overlay: str, selector: Manifest, namespace: str | None) -> list[Manifest]:
    """Workloads with such pods, of one namespace or of all."""
    return [
        one
        for one in workloads(overlay)
        if namespace in (None, one["metadata"]["namespace"])
        and selects(selector, one["spec"]["template"]["metadata"]["labels"])
    ]


def ports(workload: Manifest) -> Iterator[tuple[str, int]]:
    """(protocol, number) of each port of its containers."""
    for container in containers(workload):
        for port in container["ports"]:
            yield port.get("protocol", "TCP"), port["containerPort"]
