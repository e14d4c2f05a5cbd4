"""docs/metrics.md lists exactly the metrics that exist: names, types, labels and buckets."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.architecture.source_tree import ROOT, source_modules

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
TYPES = ("gauge", "histogram", "summary")
"""Named in the document; a metric without one is a counter."""

LIST_REGISTRY = """
import importlib, json, sys
from prometheus_client import REGISTRY
for module in sys.argv[1:]:
    importlib.import_module(module)
metrics = []
for metric in REGISTRY._collector_to_names:
    if (name := getattr(metric, "_name", "")).startswith("antiphon_"):
        metrics.append({
            "name": name + "_total" * (metric._type == "counter"),
            "type": metric._type,
            "labels": metric._labelnames,
            "buckets": metric._kwargs.get("buckets") and [float(bound) for bound in metric._kwargs["buckets"]],
        })
print(json.dumps(metrics))
"""


def modules_with_metrics() -> list[str]:
    importing = (module for module in source_modules() if _imports_prometheus((ROOT / module).read_text()))
    return sorted(".".join(module.with_suffix("").parts) for module in importing)


def _imports_prometheus(text: str) -> bool:
    nodes = ast.walk(ast.parse(text))
    return any(isinstance(node, ast.ImportFrom) and node.module == "prometheus_client" for node in nodes)


@pytest.fixture(scope="module")
def registered() -> Mapping[str, Mapping[str, Any]]:
    """All metrics of all services, by name."""
    listed = subprocess.run(
        [sys.executable, "-c", LIST_REGISTRY, *modules_with_metrics()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {metric["name"]: metric for metric in json.loads(listed.stdout)}


def documented() -> Mapping[str, Mapping[str, Any]]:
    """As the tables say, in the same form."""
    buckets = dict(_buckets())
    metrics: dict[str, Mapping[str, Any]] = {}
    for name, labels, meaning in re.findall(r"^\| `(antiphon_\w+)` \|(.*?)\|(.*)\|$", DOCUMENT, re.MULTILINE):
        assert name not in metrics, f"{name} is documented twice"
        kind = meaning.strip().split(":")[0]
        metrics[name] = {
            "name": name,
            "type": kind if kind in TYPES else "counter",
            # `label`, `label`: `value`, `value`; `label`: ...
            "labels": [label for part in labels.split(";") for label in re.findall(r"`(\w+)`", part.split(":")[0])],
            "buckets": buckets.pop(name, None),
        }
    assert buckets == {}, "the table of buckets names no other metrics"
    return metrics


def _buckets() -> list[tuple[str, list[float]]]:
    table = DOCUMENT.split("## Buckets")[1].split("## ")[0]
    rows = re.findall(r"^\| ([\d., ]+) \|(.*)\|$", table, re.MULTILINE)
    return [
        (name, [float(bound) for bound in bounds.split(",")])
        for bounds, names in rows
        for name in re.findall(r"`(\w+)`", names)
    ]


def test_each_metric_is_documented_with_its_type_labels_and_buckets(registered: Mapping[str, Any]) -> None:
    assert documented() == registered


def test_names_have_our_prefix_and_their_unit(registered: Mapping[str, Any]) -> None:
    for name, metric in registered.items():
        assert name.endswith("_total") == (metric["type"] == "counter"), name
        assert name.endswith(("_seconds", "_ratio", "_bytes")) or metric["type"] != "histogram", name
