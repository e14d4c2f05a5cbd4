"""Alerts and the dashboard ask for metrics that exist, and each alert has a section in the runbook."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.deploy.kubernetes.manifests import ROOT, manifests, name_of, our_workloads, selected

MONITORING = ROOT / "deploy" / "monitoring"
METRIC = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b(?=[\[{ )<>=]|$)")
OF_OTHERS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "kube_pod_container_status_restarts_total"}
FUNCTIONS = {"histogram_quantile"}
GROUPS: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]


def unknown_metrics(expression: str) -> set[str]:
    listed = set(re.findall(r"`(antiphon_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    without_labels = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", "", expression)
    series = {re.sub(r"_(bucket|count)$", "", name) for name in METRIC.findall(without_labels)} - FUNCTIONS
    assert series, expression
    return series - listed - OF_OTHERS


def test_alerts_ask_for_metrics_that_exist() -> None:
    assert {rule["alert"]: unknown_metrics(rule["expr"]) for rule in RULES if unknown_metrics(rule["expr"])} == {}


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(expressions) > 20
    assert {text for text in expressions if unknown_metrics(text)} == set()


def test_each_alert_has_its_section_in_the_runbook() -> None:
    headings = re.findall(r"^#+ (Antiphon\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in RULES)
    assert {rule["annotations"]["runbook"] for rule in RULES} == {
        f"docs/operations.md#{name.lower()}" for name in headings
    }


def test_the_operator_of_prometheus_gets_the_same_rules() -> None:
    for overlay in ("production-hostnetwork", "production-turn"):
        (rule,) = manifests(overlay, "PrometheusRule")
        assert rule["spec"]["groups"] == GROUPS


@pytest.mark.parametrize("overlay", ["production-hostnetwork", "production-turn"])
def test_each_of_our_pods_is_scraped_once(overlay: str) -> None:
    scraped = [
        name_of(one)
        for monitor in manifests(overlay, "PodMonitor", "ServiceMonitor")
        for namespace in monitor["spec"]["namespaceSelector"]["matchNames"]
        for one in selected(overlay, monitor["spec"]["selector"], namespace)
    ]
    assert sorted(scraped) == sorted(name_of(one) for _, one in our_workloads(overlay))
