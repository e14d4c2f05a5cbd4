from pathlib import Path

import pytest

from deploy.evaluation.command import EXIT_BAD_FILE, EXIT_NOT_MET, Files, evaluate
from shared.io.service import EXIT_CONFIG
from tests.fakes.ports import free_port

SCENARIO = "name: A call\nagent: desk\nsteps: [hang_up]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "call.yaml"
    file.write_text(SCENARIO)
    return file


def test_a_bad_file_is_said_before_anything_starts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("name: A call\n")
    assert evaluate([file], None, 1, Files()) == EXIT_BAD_FILE
    assert f"antiphon: {file}: agent: missing: add it" in capsys.readouterr().err


def test_a_bad_address_is_said_before_anything_starts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate([file], "localhost", 1, Files()) == EXIT_BAD_FILE
    assert "not an address of a server" in capsys.readouterr().err


def test_what_was_not_as_expected_is_told_and_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file, junit_file = file.parent / "out.json", file.parent / "out.xml"
    url = f"http://127.0.0.1:{free_port()}"
    assert evaluate([file], url, 1, Files(json_file, junit_file)) == EXIT_NOT_MET
    told = capsys.readouterr().out
    assert f"FAIL  A call  ({file}" in told
    assert "0 passed, 1 failed" in told
    assert json_file.exists()
    assert junit_file.exists()


def test_a_report_that_cannot_be_written_is_a_bad_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert evaluate([file], url, 1, Files(file.parent / "nowhere" / "out.json")) == EXIT_BAD_FILE
    assert "name a file in a folder that is there" in capsys.readouterr().err


def test_why_the_embedded_stack_does_not_start_is_told_and_in_its_log(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"{SCENARIO}environment: {{ANTIPHON_LOG_LEVELS: info}}\n")
    log = file.parent / "stack.log"
    assert evaluate([file], None, 1, Files(log=log)) == EXIT_CONFIG
    assert "antiphon: the embedded stack did not start" in capsys.readouterr().err
    assert "unknown setting ANTIPHON_LOG_LEVELS" in log.read_text()


def test_a_log_that_cannot_be_written_is_a_bad_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate([file], None, 1, Files(log=file.parent / "nowhere" / "stack.log")) == EXIT_BAD_FILE
    assert "name a file in a folder that is there" in capsys.readouterr().err
