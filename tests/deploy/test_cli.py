import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.process_command import APP_FOLDER
from gateway.core.api_keys import find_key
from gateway.secret_files import read_api_keys
from shared.io.service import EXIT_BROKER, EXIT_CONFIG


def antiphon(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    return subprocess.run(
        [sys.executable, str(APP_FOLDER / "deploy" / "launch.py"), *arguments],
        cwd=folder,
        env=clean | {"COLUMNS": "120"} | settings,
        timeout=60,
        capture_output=True,
        text=True,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    run = antiphon(tmp_path, "--help")
    assert run.returncode == 0
    for command in ("up", "doctor", "eval", "api-key", "gateway", "media-worker", "pipeline-worker"):
        assert f" {command} " in run.stdout


def test_an_api_key_is_shown_and_its_line_can_be_appended_to_the_file(tmp_path: Path) -> None:
    run = antiphon(tmp_path, "api-key", "website")
    (tmp_path / "api-keys").write_text(run.stdout)
    assert find_key(read_api_keys(tmp_path / "api-keys"), run.stderr.strip()) == "website"


def test_a_mistyped_setting_is_reported_before_anything_starts(tmp_path: Path) -> None:
    run = antiphon(tmp_path, "up", ANTIPHON_AGENT_DIR="/x")
    assert run.returncode == EXIT_CONFIG
    assert "antiphon: unknown setting ANTIPHON_AGENT_DIR" in run.stderr


def test_a_port_in_use_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = antiphon(tmp_path, "up", "--port", str(taken.getsockname()[1]))
    assert run.returncode == EXIT_CONFIG
    assert "is in use: choose another with --port" in run.stderr


def test_an_unreachable_broker_has_its_own_exit_code(tmp_path: Path) -> None:
    run = antiphon(tmp_path, "up", "--port", "18080", ANTIPHON_REDIS_URL="unix:///nowhere/broker.sock")
    assert run.returncode == EXIT_BROKER
    assert "no Redis at unix:///nowhere/broker.sock" in run.stderr
    assert re.search(r"On \d+ cores?: \d+ media workers?, \d+ pipeline workers?, a gateway", run.stdout)


def test_an_invalid_scenario_file_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "call.yaml").write_text("name: A call\nagent: desk\n")
    run = antiphon(tmp_path, "eval", "call.yaml")
    assert run.returncode == 2
    assert "call.yaml: steps: missing: add it" in run.stderr


def test_an_embedded_stack_that_does_not_start_says_why_with_its_own_exit_code(tmp_path: Path) -> None:
    (tmp_path / "call.yaml").write_text(
        "name: A call\nagent: desk\nsteps: [hang_up]\nenvironment: {ANTIPHON_LOG_LEVELS: info}\n"
    )
    run = antiphon(tmp_path, "eval", "call.yaml")
    assert run.returncode == EXIT_CONFIG
    assert "antiphon: the embedded stack did not start" in run.stderr
    assert "unknown setting ANTIPHON_LOG_LEVELS" in run.stderr


@pytest.mark.parametrize("command", ["gateway", "media-worker", "pipeline-worker"])
def test_a_service_command_shows_the_help_of_the_service(tmp_path: Path, command: str) -> None:
    run = antiphon(tmp_path, command, "--help")
    assert run.returncode == 0, run.stderr
    assert f"usage: antiphon {command}" in run.stdout
    assert "ANTIPHON_REDIS_URL" in run.stdout
