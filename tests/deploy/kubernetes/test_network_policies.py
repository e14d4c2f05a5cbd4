"""Network policies: nothing but what is needed, and ports that exist."""

import pytest

from tests.deploy.kubernetes.manifests import OVERLAYS, manifests, name_of, ports, selected, workloads

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


@overlays
def test_each_namespace_denies_both_directions_by_default(overlay: str) -> None:
    denied = {
        (one["metadata"]["namespace"], direction)
        for one in manifests(overlay, "NetworkPolicy")
        if one["spec"]["podSelector"] == {} and not one["spec"].get("ingress") and not one["spec"].get("egress")
        for direction in one["spec"]["policyTypes"]
    }
    namespaces = {one["metadata"]["namespace"] for one in workloads(overlay)}
    assert denied == {(namespace, direction) for namespace in namespaces for direction in ("Ingress", "Egress")}


@overlays
def test_each_policy_has_one_direction(overlay: str) -> None:
    for policy in manifests(overlay, "NetworkPolicy"):
        (direction,) = policy["spec"]["policyTypes"]
        assert not policy["spec"].get("egress" if direction == "Ingress" else "ingress"), name_of(policy)


@overlays
def test_policies_concern_pods_and_name_ports_of_theirs(overlay: str) -> None:
    for policy in manifests(overlay, "NetworkPolicy"):
        namespace, spec = policy["metadata"]["namespace"], policy["spec"]
        if spec["podSelector"] == {}:
            continue
        own = selected(overlay, spec["podSelector"], namespace)
        assert own, name_of(policy)
        for rule in spec.get("ingress", []):
            wanted = {(port["protocol"], port["port"]) for port in rule["ports"]}
            assert wanted <= {port for one in own for port in ports(one)}, name_of(policy)
        for rule in spec.get("egress", []):
            peers = [
                peer["podSelector"] for peer in rule["to"] if "podSelector" in peer and "namespaceSelector" not in peer
            ]
            others = [one for peer in peers for one in selected(overlay, peer, namespace)]
            assert others or not peers, name_of(policy)
            wanted = {(port["protocol"], port["port"]) for port in rule.get("ports", [])}
            assert not others or wanted <= {port for one in others for port in ports(one)}, name_of(policy)


@overlays
def test_what_one_pod_may_send_another_one_lets_in(overlay: str) -> None:
    """Each egress rule between our pods has its ingress rule."""
    policies = manifests(overlay, "NetworkPolicy")
    for policy in policies:
        namespace = policy["metadata"]["namespace"]
        for rule in policy["spec"].get("egress", []):
            for peer in (peer for peer in rule["to"] if "podSelector" in peer and "namespaceSelector" not in peer):
                for receiver in selected(overlay, peer["podSelector"], namespace):
                    let_in = {
                        (port["protocol"], port["port"])
                        for other in policies
                        if receiver in selected(overlay, other["spec"]["podSelector"], other["metadata"]["namespace"])
                        for admitted in other["spec"].get("ingress", [])
                        for port in admitted["ports"]
                    }
                    assert {(port["protocol"], port["port"]) for port in rule["ports"]} <= let_in, name_of(policy)


def test_behind_turn_servers_only_they_reach_media_workers() -> None:
    policies = [one for one in manifests("production-turn", "NetworkPolicy") if "media-worker-ingress" in name_of(one)]
    assert [one["spec"]["ingress"][0]["from"] for one in policies] == [
        [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "coturn"}}}]
    ]


def test_turn_servers_reach_media_workers_and_nothing_else() -> None:
    (coturn,) = [one for one in workloads("production-turn") if one["metadata"]["name"] == "coturn"]
    allowed = [
        rule["to"]
        for policy in manifests("production-turn", "NetworkPolicy")
        if coturn in selected("production-turn", policy["spec"]["podSelector"], policy["metadata"]["namespace"])
        for rule in policy["spec"].get("egress", [])
    ]
    assert allowed == [[{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "media-worker"}}}]]
