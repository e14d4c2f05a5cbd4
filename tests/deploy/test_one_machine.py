import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread

import psutil
import pytest

from deploy.embedded_broker import Broker
from deploy.one_machine import Plan, check_port_free, service_specs, workers_for
from shared.errors import ConfigError
from shared.io.service import EXIT_CONFIG
from tests.fakes.ports import free_port

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 60.0
PLAN = Plan("127.0.0.1", 8080, media_workers=2, pipeline_workers=1)


class Deployment:
    """A deployment of stand-in services in its own process, with its output line by line."""

    def __init__(self, folder: Path, pipeline: str = "serves") -> None:
        self.temporary = folder
        self.seen: list[str] = []
        command = [sys.executable, "-m", "tests.fakes.stand_in_deployment", str(free_port()), pipeline]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment | {"TMPDIR": str(folder), "ANTIPHON_DRAIN_TIMEOUT_S": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next line that matches."""
        while True:
            line = self._lines.get(timeout=DEADLINE_S)
            assert line is not None, f"ended without {pattern!r}: {self.seen}"
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found

    def wait_for_end(self) -> int:
        code = self.process.wait(DEADLINE_S)
        while (line := self._lines.get(timeout=DEADLINE_S)) is not None:
            self.seen.append(line)
        return code

    def pids(self) -> dict[str, int]:
        """The latest process of each service."""
        found = (re.match(r"(\S+) +\| started as (\d+)", line) for line in self.seen)
        return {match[1]: int(match[2]) for match in found if match}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path, because sockets have short names."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def children_of(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


def wait_until_dead(pids: set[int]) -> None:
    """A pidfd becomes readable when its process ends, also for processes that are not our children."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([descriptor], [], [], DEADLINE_S)[0], f"process {pid} still runs"
        finally:
            os.close(descriptor)


def test_ctrl_c_stops_all_in_order(short_folder: Path) -> None:
    deployment = Deployment(short_folder)
    try:
        assert deployment.wait_for(r"Antiphon is ready: (\S+)")[1].startswith("http://127.0.0.1:")
        children = children_of(deployment.process.pid)
        assert len(children) == 5  # the services and the broker
        deployment.process.send_signal(signal.SIGINT)
        assert deployment.wait_for_end() == 0
        stopped = [line.split()[0] for line in deployment.seen if line.endswith("| stopped")]
        assert stopped[0] == "gateway"
        assert set(stopped[1:3]) == {"media-0", "media-1"}
        assert stopped[3:] == ["pipeline-0"]
        wait_until_dead(children)
        assert list(short_folder.iterdir()) == []
    finally:
        deployment.close()


def test_no_child_survives_when_it_is_killed(short_folder: Path) -> None:
    deployment = Deployment(short_folder)
    try:
        deployment.wait_for("Antiphon is ready")
        children = children_of(deployment.process.pid)
        assert len(children) == 5
        deployment.process.kill()
        wait_until_dead(children)
    finally:
        deployment.close()


def test_a_crashed_worker_comes_back(short_folder: Path) -> None:
    deployment = Deployment(short_folder)
    try:
        deployment.wait_for("Antiphon is ready")
        before = deployment.pids()["media-1"]
        os.kill(before, signal.SIGKILL)
        deployment.wait_for(r"media-1 .* was ended by SIGKILL; starting again in 0.5 s")
        assert int(deployment.wait_for(r"media-1 +\| started as (\d+)")[1]) != before
        deployment.process.send_signal(signal.SIGTERM)
        assert deployment.wait_for_end() == 0
    finally:
        deployment.close()


def test_the_last_lines_of_a_failed_start_are_its_reason(short_folder: Path) -> None:
    deployment = Deployment(short_folder, pipeline="refuses")
    try:
        assert deployment.wait_for_end() == EXIT_CONFIG
        assert deployment.seen[-2:] == [
            "antiphon   | pipeline-0 cannot run: my settings are wrong:",
            "antiphon   | correct them",
        ]
        assert not any("starting again" in line for line in deployment.seen)
    finally:
        deployment.close()


def test_services_get_their_addresses_in_the_environment() -> None:
    specs = {spec.name: spec.environment for spec in service_specs(PLAN, {"HOME": "/"}, Broker("unix:///b", None))}
    assert list(specs) == ["media-0", "media-1", "pipeline-0", "gateway"]
    assert all(environment["ANTIPHON_REDIS_URL"] == "unix:///b" for environment in specs.values())
    assert all(environment["ANTIPHON_PUBLIC_IPS"] == "127.0.0.1" for environment in specs.values())
    assert all(environment["HOME"] == "/" for environment in specs.values())
    assert specs["media-1"]["ANTIPHON_MEDIA_INDEX"] == "1"
    assert specs["gateway"]["ANTIPHON_GATEWAY_PORT"] == "8080"


@pytest.mark.parametrize(("cores", "workers"), [(0.5, 1), (1, 1), (2, 1), (4, 1), (8, 3), (64, 21)])
def test_a_third_of_the_cores_is_for_media_workers_and_a_third_for_pipeline_workers(cores: float, workers: int) -> None:
    assert workers_for(cores) == workers


def test_a_plan_can_be_read() -> None:
    assert str(PLAN) == "2 media workers, 1 pipeline worker, a gateway"


def test_the_users_settings_take_precedence() -> None:
    own = {"ANTIPHON_LOG_FORMAT": "json", "ANTIPHON_PUBLIC_IPS": "192.0.2.1", "ANTIPHON_DRAIN_TIMEOUT_S": "30"}
    for spec in service_specs(PLAN, own, Broker("unix:///b", None)):
        assert own.items() <= spec.environment.items()


def test_media_addresses_are_detected_when_other_machines_may_connect() -> None:
    open_to_all = Plan("0.0.0.0", 8080, media_workers=1, pipeline_workers=1)
    for spec in service_specs(open_to_all, {}, Broker("unix:///b", None)):
        assert "ANTIPHON_PUBLIC_IPS" not in spec.environment


def test_each_process_gets_a_probe_port_of_its_own() -> None:
    specs = service_specs(PLAN, {"ANTIPHON_PROBE_PORT": "9000"}, Broker("unix:///b", None))
    ports = {spec.name: spec.environment.get("ANTIPHON_PROBE_PORT") for spec in specs}
    assert ports == {"media-0": "9000", "media-1": "9001", "pipeline-0": "9002", "gateway": "9003"}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("localhost", "http://localhost:8080"),
    ],
)
def test_the_address_to_open(host: str, url: str) -> None:
    assert Plan(host, 8080, 1, 1).url == url


def test_a_port_in_use_is_an_error_with_a_cure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is in use: choose another with --port"):
            check_port_free("127.0.0.1", port)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.77 port 8080"):
        check_port_free("192.0.2.77", 8080)
