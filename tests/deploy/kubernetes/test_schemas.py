"""Manifests are valid for the API server, and what checkov finds in them is intended."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.deploy.kubernetes.manifests import OPTIONAL, OVERLAYS, ROOT, manifests, name_of, rendered, run_tool

SCHEMAS = Path(__file__).parent / "schemas"
CUSTOM = {file.stem for file in SCHEMAS.glob("*.json")}

INTENDED = {
    "CKV_K8S_11": "no limit of CPU: throttling would be heard",
    "CKV_K8S_15": "a release's image never changes, so it need not be pulled again",
    "CKV_K8S_35": "the broker's URL is a setting; nothing in a pod can show its environment",
    "CKV_K8S_43": "an operator names the image, by digest if they like",
}
INTENDED_OF = {
    ("CKV_K8S_19", "media-worker"): "production-hostnetwork: media on the node's address",
    ("CKV_K8S_26", "media-worker"): "the scheduler then puts one pod of a slot on a node",
    ("CKV_K8S_25", "coturn"): "the program of its image cannot start without NET_BIND_SERVICE",
}


@pytest.mark.parametrize("version", ["1.30", "1.34"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_are_valid_for_kubernetes(overlay: str, version: str, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(rendered(overlay))
    done = run_tool("kubernetes-validate", "--strict", "-k", version, file)
    # Its exit code is 0 for kinds that it does not know.
    passed = sum("passed" in line for line in done.stdout.splitlines() + done.stderr.splitlines())
    own = [one for one in manifests(overlay) if one["kind"] not in CUSTOM]
    assert (done.returncode, passed) == (0, len(own)), done.stdout + done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_resources_fit_their_schemas(overlay: str) -> None:
    for one in manifests(overlay, *CUSTOM):
        schema = json.loads((SCHEMAS / f"{one['kind']}.json").read_text())
        problems = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(one)]
        assert not problems, name_of(one)


def test_checkov_finds_only_what_is_intended(tmp_path: Path) -> None:
    for overlay in OVERLAYS:
        (tmp_path / f"{overlay}.yaml").write_text(rendered(overlay))
    done = run_tool(
        "checkov", "--framework", "kubernetes", "-d", tmp_path, "--compact", "--quiet", "-o", "json", "--skip-download"
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 500
    failed = {(one["check_id"], one["resource"], one["check_name"]) for one in report["results"]["failed_checks"]}
    assert [
        one
        for one in sorted(failed)
        if one[0] not in INTENDED and not any(one[0] == check and part in one[1] for check, part in INTENDED_OF)
    ] == []
    assert {one[0] for one in failed} == set(INTENDED) | {check for check, _ in INTENDED_OF}, (
        "an exception is not needed"
    )


@pytest.mark.parametrize("component", OPTIONAL)
def test_components_that_no_overlay_uses_render_too(component: str, tmp_path: Path) -> None:
    inside = ROOT / "deploy" / "k8s"
    service = component.split("/")[-1]
    (tmp_path / "k8s").symlink_to(inside)
    overlay = tmp_path / "kustomization.yaml"
    overlay.write_text(f"resources: [k8s/base/{service}]\ncomponents: [k8s/components/{component}]\n")
    done = run_tool("kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "kind: HorizontalPodAutoscaler" in done.stdout
