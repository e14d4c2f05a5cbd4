"""The Jobs of `deploy/k8s/load` run the command as it is."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from deploy.cli import app

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "k8s" / "load"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def parsed(job: str) -> dict[str, Any]:
    """The arguments of its container, with the kustomization's values, as the command takes them."""
    literals = dict(line.split("=", 1) for line in read("kustomization.yaml")["configMapGenerator"][0]["literals"])
    stated = read(job)["spec"]["template"]["spec"]["containers"][0]["args"]
    name, *arguments = [re.sub(r"\$\((\w+)\)", lambda found: literals[found[1]], each) for each in stated]
    command: Any = typer.main.get_command(app)
    params: dict[str, Any] = command.commands[name].make_context(name, arguments).params
    return params


def test_the_leader_waits_for_as_many_hosts_as_there_are() -> None:
    params = parsed("leader.yaml")
    assert params["scenario"] == "ramp"
    assert params["hosts"] == read("helpers.yaml")["spec"]["completions"] + 1
    assert params["listen"].endswith(f":{read('service.yaml')['spec']['ports'][0]['port']}")


def test_helpers_join_the_leaders_service() -> None:
    params = parsed("helpers.yaml")
    service = read("service.yaml")
    assert (params["scenario"], params["what"]) == ("join", f"{service['metadata']['name']}:7000")


@pytest.mark.parametrize("job", ["leader.yaml", "helpers.yaml"])
def test_pods_keep_to_the_restricted_standard(job: str) -> None:
    pod = read(job)["spec"]["template"]["spec"]
    security = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert security["capabilities"] == {"drop": ["ALL"]}
