import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from callers.scenario.command import EXIT_BAD_FILE, EXIT_NOT_MET, Files, Target, evaluate
from tests.fakes.ports import free_port

SCENARIO = "name: A call\nagent: desk\nsteps: [hang_up]\n"


def no_stack(*_: object) -> AbstractAsyncContextManager[str]:
    raise AssertionError("no stack is started")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "call.yaml"
    file.write_text(SCENARIO)
    return file


def test_a_bad_file_is_reported_before_anything_starts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("name: A call\n")
    assert evaluate([file], None, 1, Files(), no_stack) == EXIT_BAD_FILE
    assert f"antiphon: {file}: agent: missing: add it" in capsys.readouterr().err


def test_a_bad_address_is_reported_before_anything_starts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate([file], Target("localhost"), 1, Files(), no_stack) == EXIT_BAD_FILE
    assert "not an address of a server" in capsys.readouterr().err


def test_a_bad_api_key_file_is_reported_before_anything_starts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = Target("http://localhost", api_key_file=file.parent / "nowhere")
    assert evaluate([file], target, 1, Files(), no_stack) == EXIT_BAD_FILE
    assert "write the API key into it" in capsys.readouterr().err


def test_unmet_expectations_are_printed_and_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file, junit_file = file.parent / "out.json", file.parent / "out.xml"
    url = f"http://127.0.0.1:{free_port()}"
    assert evaluate([file], Target(url), 1, Files(json_file, junit_file), no_stack) == EXIT_NOT_MET
    told = capsys.readouterr().out
    assert f"FAIL  A call  ({file}" in told
    assert "0 passed, 1 failed" in told
    assert json_file.exists()
    assert junit_file.exists()


def test_a_report_that_cannot_be_written_is_a_bad_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert evaluate([file], Target(url), 1, Files(file.parent / "nowhere" / "out.json"), no_stack) == EXIT_BAD_FILE
    assert "name a file in an existing folder" in capsys.readouterr().err


def test_the_log_of_the_embedded_stack_is_written(file: Path) -> None:
    @contextlib.asynccontextmanager
    async def stack(
        agents_dir: Path | None, environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> AsyncIterator[str]:
        on_line(f"started with {environment}")
        yield f"http://127.0.0.1:{free_port()}"

    file.write_text(f"{SCENARIO}environment: {{ANTIPHON_LOG_LEVEL: info}}\n")
    log = file.parent / "stack.log"
    assert evaluate([file], None, 1, Files(log=log), stack) == EXIT_NOT_MET
    assert log.read_text() == "started with {'ANTIPHON_LOG_LEVEL': 'info'}\n"


def test_a_log_that_cannot_be_written_is_a_bad_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate([file], None, 1, Files(log=file.parent / "nowhere" / "stack.log"), no_stack) == EXIT_BAD_FILE
    assert "name a file in an existing folder" in capsys.readouterr().err
