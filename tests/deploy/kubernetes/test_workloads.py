"""What must be true of each pod, whatever the overlay."""

from pathlib import Path

import pytest
import yaml

from gateway.settings import GatewaySettings
from media_worker.settings import MediaSettings
from pipeline_worker.settings import PipelineSettings
from shared.agent import AgentDefinition
from shared.settings import BUNDLED_AGENTS, Settings
from tests.deploy.kubernetes.manifests import (
    OVERLAYS,
    Manifest,
    containers,
    environment,
    find,
    manifests,
    name_of,
    our_workloads,
    pod_of,
    ports,
    selected,
    selects,
    workloads,
)

SETTINGS: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "media-worker": MediaSettings,
    "pipeline-worker": PipelineSettings,
}

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


def agent_files(overlay: str) -> list[str]:
    own = [one for one in manifests(overlay, "ConfigMap") if one["metadata"]["name"].startswith("antiphon-agents")]
    bundled = [file.read_text() for file in BUNDLED_AGENTS.glob("*.yaml")]
    return bundled + [text for one in own for text in one["data"].values()]


@overlays
def test_a_pod_outlives_its_drain_and_a_drain_the_longest_session(overlay: str) -> None:
    longest = max(
        AgentDefinition.model_validate(yaml.safe_load(text)).limits.max_duration_s for text in agent_files(overlay)
    )
    for _, workload in our_workloads(overlay):
        drain = float(environment(overlay, workload)["ANTIPHON_DRAIN_TIMEOUT_S"] or 0)
        assert pod_of(workload)["terminationGracePeriodSeconds"] > drain > longest, name_of(workload)


@overlays
def test_pipeline_workers_know_the_agents_that_gateways_offer(overlay: str) -> None:
    """Callers of an agent that no pipeline worker knew waited in vain."""
    folders = {
        component: (environment(overlay, workload).get("ANTIPHON_AGENTS_DIR"), _agents_of(workload))
        for component, workload in our_workloads(overlay)
        if component != "media-worker"
    }
    assert folders["gateway"] == folders["pipeline-worker"]
    assert (None not in folders["gateway"]) == overlay.startswith("production")


def _agents_of(workload: Manifest) -> str | None:
    """The ConfigMap."""
    volumes = {volume["name"]: volume for volume in pod_of(workload)["volumes"]}
    mounted = {mount["name"] for container in containers(workload) for mount in container["volumeMounts"]}
    return volumes["agents"]["configMap"]["name"] if "agents" in mounted else None


@overlays
def test_all_three_services_are_there(overlay: str) -> None:
    assert {component for component, _ in our_workloads(overlay)} == set(SETTINGS)


@overlays
def test_each_setting_is_one_that_its_service_accepts(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for component, workload in our_workloads(overlay):
        with monkeypatch.context() as patch:
            for name, value in environment(overlay, workload).items():
                patch.setenv(name, value or _known_to_the_cluster(name))
            SETTINGS[component].load()


def _known_to_the_cluster(name: str) -> str:
    return {"ANTIPHON_NODE_IP": "192.0.2.1", "ANTIPHON_PROBE_HOST": "192.0.2.1"}.get(name, "")


@overlays
def test_a_service_listens_on_the_ports_that_its_pod_names(overlay: str) -> None:
    for component, workload in our_workloads(overlay):
        values = environment(overlay, workload)
        expected = {("TCP", "ANTIPHON_PROBE_PORT")} | {
            "gateway": {("TCP", "ANTIPHON_GATEWAY_PORT")},
            "media-worker": {("UDP", "ANTIPHON_MEDIA_PORT")},
            "pipeline-worker": set(),
        }[component]
        assert set(ports(workload)) == {(protocol, int(values[name] or 0)) for protocol, name in expected}


@overlays
def test_each_container_has_probes_resources_and_no_privileges(overlay: str) -> None:
    for workload in workloads(overlay):
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        account = find(overlay, "ServiceAccount", workload, pod["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False
        for container in containers(workload):
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name_of(workload)
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"]["drop"] == ["ALL"]


@overlays
def test_an_outage_of_the_broker_restarts_nothing(overlay: str) -> None:
    for _, workload in our_workloads(overlay):
        (container,) = containers(workload)
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@overlays
def test_autoscalers_of_nodes_leave_our_pods_alone(overlay: str) -> None:
    for _, workload in our_workloads(overlay):
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


@overlays
def test_selectors_match_their_pods(overlay: str) -> None:
    for workload in workloads(overlay):
        spec = workload["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert selects(spec["selector"], labels), name_of(workload)
        for spread in spec["template"]["spec"].get("topologySpreadConstraints", []):
            assert selects(spread["labelSelector"], labels), name_of(workload)
        alike = selected(overlay, spec["selector"], workload["metadata"]["namespace"])
        assert len(alike) == 1, f"{name_of(workload)} takes pods of another"


@overlays
def test_services_lead_to_ports_that_exist(overlay: str) -> None:
    for service in manifests(overlay, "Service"):
        found = selected(overlay, {"matchLabels": service["spec"]["selector"]}, service["metadata"]["namespace"])
        assert found, name_of(service)
        names = {port["name"] for one in found for container in containers(one) for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


@overlays
def test_each_workload_has_one_disruption_budget(overlay: str) -> None:
    budgets = manifests(overlay, "PodDisruptionBudget")
    covered = [
        name_of(one)
        for budget in budgets
        for one in selected(overlay, budget["spec"]["selector"], budget["metadata"]["namespace"])
    ]
    replicated = [name_of(one) for one in workloads(overlay) if one["spec"].get("replicas") != 1]
    assert sorted(covered) == sorted(replicated)


@overlays
def test_an_apply_does_not_reset_the_number_of_pods_that_is_scaled(overlay: str) -> None:
    for scaler in manifests(overlay, "ScaledObject", "HorizontalPodAutoscaler"):
        target = find(overlay, "Deployment", scaler, scaler["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"]


@overlays
def test_scaling_in_is_slow_and_holds_while_the_metric_cannot_be_read(overlay: str) -> None:
    for scaler in manifests(overlay, "ScaledObject"):
        spec = scaler["spec"]
        assert spec["minReplicaCount"] >= 2
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 600
        assert [(one["type"], one["value"]) for one in down["policies"]] == [("Pods", 1)]


def test_slots_share_the_wanted_workers_and_have_ports_of_their_own() -> None:
    slots = [one for kind, one in our_workloads("production-hostnetwork") if kind == "media-worker"]
    scalers = [one for one in manifests("production-hostnetwork", "ScaledObject") if "-media" in name_of(one)]
    assert [float(one["spec"]["triggers"][0]["metadata"]["targetValue"]) for one in scalers] == [len(slots)] * len(
        slots
    )
    taken = [port for slot in slots for port in ports(slot)]
    assert len(taken) == len(set(taken))


@overlays
def test_only_media_workers_on_the_hosts_network_are_in_a_privileged_namespace(overlay: str) -> None:
    levels = {
        one["metadata"]["name"]: one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for one in manifests(overlay, "Namespace")
    }
    for workload in workloads(overlay):
        expected = "privileged" if pod_of(workload).get("hostNetwork") else "restricted"
        assert levels[workload["metadata"]["namespace"]] == expected, name_of(workload)


def test_agent_files_of_overlays_are_those_of_the_repository() -> None:
    """They are copies, since Kustomize reads no file outside its folder."""
    deploy = Path(BUNDLED_AGENTS).parent
    for file in (deploy / "k8s" / "overlays").glob("*/agents/*.yaml"):
        if file.name == "kustomization.yaml":
            continue
        originals = [deploy / folder / file.name for folder in ("agents", "agents-examples")]
        assert file.read_text() in [one.read_text() for one in originals if one.exists()]


def test_no_manifest_in_production_has_a_secret() -> None:
    found: list[Manifest] = [*manifests("production-hostnetwork", "Secret"), *manifests("production-turn", "Secret")]
    assert not found
