"""`deploy/compose.yaml`, without running it: `make test-containers` does."""

import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.process_command import APP_FOLDER
from gateway.secret_files import read_api_keys
from gateway.settings import GatewaySettings
from media_worker.settings import MediaSettings
from pipeline_worker.settings import PipelineSettings
from shared.settings import PREFIX, Settings

_FOLDER = APP_FOLDER / "deploy"
_COMPOSE: dict[str, Any] = yaml.safe_load((_FOLDER / "compose.yaml").read_text(encoding="utf-8"))
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_SETTINGS: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "media-worker": MediaSettings,
    "pipeline-worker": PipelineSettings,
}
_OURS = {name: service for name, service in _SERVICES.items() if service.get("command", [""])[0] in _SETTINGS}
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def _defaults(text: str) -> str:
    return _VARIABLE.sub(r"\2", text)


def _environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: _defaults(value) for name, value in service["environment"].items()}


def _mounts(service: dict[str, Any]) -> list[Path]:
    """Files and folders of the host, by their defaults."""
    sources = [_defaults(volume).split(":")[0] for volume in service.get("volumes", [])]
    return [_FOLDER / source for source in sources if source.startswith(".")]


@pytest.mark.parametrize("name", _SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = _SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "coturn" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["restart"] == "unless-stopped"
    assert ":latest" not in service["image"]


def test_there_are_two_of_each_process() -> None:
    commands = sorted(service["command"][0] for service in _OURS.values())
    assert commands == sorted(2 * list(_SETTINGS))


@pytest.mark.parametrize("name", _OURS)
def test_every_setting_is_one_that_the_process_knows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in _environment(_OURS[name]).items():
        monkeypatch.setenv(variable, value)
        assert variable.removeprefix(PREFIX).lower() in _SETTINGS[_OURS[name]["command"][0]].model_fields
    _SETTINGS[_OURS[name]["command"][0]].load()


@pytest.mark.parametrize("name", _OURS)
def test_a_process_has_time_to_drain(name: str) -> None:
    drain_s = float(_environment(_OURS[name])["ANTIPHON_DRAIN_TIMEOUT_S"])
    assert int(_OURS[name]["stop_grace_period"].removesuffix("s")) >= drain_s + 20


def test_each_media_worker_publishes_its_own_port() -> None:
    ports = [
        (_environment(service)["ANTIPHON_MEDIA_PORT"], service["ports"])
        for service in _OURS.values()
        if service["command"] == ["media-worker"]
    ]
    assert [[f"{port}:{port}/udp"] for port, _ in ports] == [published for _, published in ports]
    assert len({port for port, _ in ports}) == len(ports)


def test_the_image_has_the_version_of_the_project() -> None:
    project = tomllib.loads((APP_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {_defaults(service["image"]) for service in _OURS.values()} == {f"localhost/antiphon:{project['version']}"}


def test_every_process_is_scraped_and_behind_the_proxy() -> None:
    scraped = yaml.safe_load((_FOLDER / "compose/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {target for job in scraped for config in job["static_configs"] for target in config["targets"]}
    assert targets == {f"{name}:9090" for name in (*_OURS, "proxy")}
    proxy = (_FOLDER / "compose/haproxy.cfg").read_text(encoding="utf-8")
    gateways = {f"{name}:8080" for name, service in _OURS.items() if service["command"] == ["gateway"]}
    assert set(re.findall(r"^    server \S+ (\S+)$", proxy, re.MULTILINE)) == gateways


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What secrets.sh makes."""
    folder = tmp_path_factory.mktemp("deploy")
    for source in ("compose/secrets.sh", "compose/turnserver.conf", "redis/users.acl"):
        copy = folder / source
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((_FOLDER / source).read_bytes())
    command = ["sh", str(folder / "compose/secrets.sh")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (folder / "compose/secrets/printed").write_text(run.stdout, encoding="utf-8")
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 1  # nothing is overwritten
    return folder / "compose/secrets"


def test_every_file_that_is_mounted_is_there(secrets: Path) -> None:
    def is_there(path: Path) -> bool:
        return (secrets / path.name).exists() if path.parent.name == "secrets" else path.exists()

    files = {path for service in _SERVICES.values() for path in _mounts(service)}
    listed = [service.get("env_file", []) for service in _SERVICES.values()]
    files |= {_FOLDER / file for entry in listed for file in ([entry] if isinstance(entry, str) else entry)}
    assert {path for path in files if not is_there(path)} == set()


def test_secrets_are_closed_to_other_users_and_complete(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {path.name for path in secrets.iterdir() if "SHA256_OF" in path.read_text(encoding="utf-8")} == set()
    keys = read_api_keys(secrets / "api-keys")
    assert {name: set(key.scopes) for name, key in keys.items()} == {"website": {"calls"}, "operator": {"admin"}}
    secret = (secrets / "turn-secret").read_text(encoding="utf-8").strip()
    assert f"\nstatic-auth-secret={secret}\n" in (secrets / "turnserver.conf").read_text(encoding="utf-8")
    assert len((secrets / "printed").read_text(encoding="utf-8").splitlines()) == 3
