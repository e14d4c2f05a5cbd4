import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from shared.io.logs import configure_logs, get_logger
early = get_logger()
configure_logs(sys.argv[1], sys.argv[2], service="kitchen")
log = get_logger()
log.debug("oven_cold")
early.info("oven_lit", session_id="s1", degrees=180)
logging.getLogger("library").warning("beware of %s", "heat")
logging.getLogger("aiortc").info("chatter")
spoken = "my card" + " number"
try:
    1 / 0
except ZeroDivisionError:
    log.exception("oven_failed")
"""


def logged(level: str, log_format: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", PROGRAM, level, log_format], timeout=60, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")
    return run.stderr.splitlines()


def test_json_is_one_object_per_event_ours_and_the_libraries() -> None:
    lit, beware, failed = map(json.loads, logged("info", "json"))
    assert (lit["event"], lit["session_id"], lit["degrees"]) == ("oven_lit", "s1", 180)
    assert (beware["event"], beware["level"]) == ("beware of heat", "warning")
    assert failed["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert all(line["service"] == "kitchen" and line["timestamp"].endswith("Z") for line in (lit, beware, failed))


def test_the_level_is_the_lowest_that_is_shown() -> None:
    assert len(logged("debug", "json")) == 4
    assert [json.loads(line)["event"] for line in logged("error", "json")] == ["oven_failed"]


def test_console_output_has_no_colours_without_a_terminal() -> None:
    lines = logged("info", "console")
    assert "oven_lit" in lines[0]
    assert "degrees=180" in lines[0]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_local_variables(log_format: str) -> None:
    lines = "\n".join(logged("info", log_format))
    assert "ZeroDivisionError" in lines
    assert "my card number" not in lines
