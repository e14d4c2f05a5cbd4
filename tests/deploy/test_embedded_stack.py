from pathlib import Path

import pytest

from deploy.embedded_stack import embedded_stack
from deploy.process_command import ProcessFailed
from shared.io.service import EXIT_CONFIG


async def test_a_stack_that_does_not_start_reports_why_with_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text("id: desk\n")
    with pytest.raises(ProcessFailed, match=r"desk\.yaml: name: missing: add it") as failed:
        async with embedded_stack(tmp_path, {"ANTIPHON_LOG_LEVEL": "error"}):
            pytest.fail("it is not ready")
    assert failed.value.exit_code == EXIT_CONFIG


async def test_a_mistyped_setting_is_reported() -> None:
    with pytest.raises(ProcessFailed, match="unknown setting ANTIPHON_LOG_LEVELS"):
        async with embedded_stack(None, {"ANTIPHON_LOG_LEVELS": "error"}):
            pytest.fail("it is not ready")
