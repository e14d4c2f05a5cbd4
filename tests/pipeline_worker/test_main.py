"""The process as a supervisor sees it: exit codes, messages, signals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.io.service import EXIT_BROKER, EXIT_CONFIG

ECHO = "id: echo\nname: Echo\nmode: echo\n"


def start(agents_dir: Path, redis_url: str, **settings: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    environment = {
        **inherited,
        "ANTIPHON_AGENTS_DIR": str(agents_dir),
        "ANTIPHON_REDIS_URL": redis_url,
        **{f"ANTIPHON_{name}": value for name, value in settings.items()},
    }
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline_worker"],
        env=environment,
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, errors


@pytest.fixture
def agents_dir(tmp_path: Path) -> Path:
    (tmp_path / "echo.yaml").write_text(ECHO)
    return tmp_path


def test_the_error_for_a_broken_agent_file_has_a_remedy(agents_dir: Path, broker_url: str) -> None:
    (agents_dir / "broken.yaml").write_text("id: broken\nname: Broken\ngreting: {text: Hi}\n")
    code, errors = result(start(agents_dir, broker_url))
    assert code == EXIT_CONFIG
    assert "broken.yaml: greting: no such field" in errors


def test_the_error_for_no_pool_names_the_setting(agents_dir: Path, broker_url: str) -> None:
    code, errors = result(start(agents_dir, broker_url, PIPELINE_POOLS=" , "))
    assert code == EXIT_CONFIG
    assert "ANTIPHON_PIPELINE_POOLS" in errors


def test_the_error_for_a_bad_collector_address_names_the_setting(agents_dir: Path, broker_url: str) -> None:
    code, errors = result(start(agents_dir, broker_url, OTEL_ENDPOINT="collector"))
    assert code == EXIT_CONFIG
    assert "ANTIPHON_OTEL_ENDPOINT: 'collector'" in errors


def test_without_a_broker_it_says_where_it_looked(agents_dir: Path) -> None:
    code, errors = result(start(agents_dir, "redis://127.0.0.1:1/0"))
    assert code == EXIT_BROKER
    assert "no Redis at redis://127.0.0.1:1/0" in errors


def test_it_runs_until_it_is_stopped(agents_dir: Path, broker_url: str) -> None:
    process = start(agents_dir, broker_url)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if json.loads(line)["event"] == "pipeline_worker_ready":
                break
        process.send_signal(signal.SIGTERM)
    finally:
        code, errors = result(process)
    assert code == 0
    assert [json.loads(line)["event"] for line in errors.splitlines()][-1] == "service_stopped"
