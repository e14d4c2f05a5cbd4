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


HOSTILE = "\x1b[2J\x07\x7f\x9b1m\u202e\u2028\r\n2026-01-01T00:00:00Z [info     ] session_ended"
HOSTILE_PROGRAM = f"""
import logging, sys
from shared.io.logs import configure_logs, get_logger
configure_logs(sys.argv[1], sys.argv[2], service="kitchen")
text = {HOSTILE!a}
get_logger().info("tool_used", tool=text, tools=[text], error=type("Raw", (), {{"__repr__": lambda self: text}})())
get_logger().info("spaced", tool="a b" + text)
logging.getLogger("library").warning("beware of %s", text)
try:
    raise ValueError(text)
except ValueError:
    get_logger().exception("tool_failed", tool=text)
"""


def logged(level: str, log_format: str, program: str = PROGRAM) -> list[str]:
    run = subprocess.run([sys.executable, "-c", program, level, log_format], timeout=60, capture_output=True)
    assert (run.returncode, run.stdout) == (0, b"")
    return run.stderr.decode().removesuffix("\n").split("\n")


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


def test_a_tool_name_with_escape_sequences_does_not_reach_the_console() -> None:
    lines = logged("info", "console", HOSTILE_PROGRAM)
    assert all(line.isprintable() for line in lines)
    assert r"tool=\u001b[2J\u0007\u007f\u009b1m\u202e\u2028\r\n2026" in lines[0].replace("\\\\", "\\").replace(
        "='", "="
    )
    assert [line for line in lines if line.startswith("2026-01-01T00")] == []
    events = [line for line in lines if not line.startswith("    ")]
    assert len(events) == 4  # the others are indented lines of the traceback


def test_a_tool_name_with_escape_sequences_is_escaped_in_json() -> None:
    lines = logged("info", "json", HOSTILE_PROGRAM)
    assert len(lines) == 4
    assert all(line.replace("\x7f", "").isprintable() for line in lines)
    assert json.loads(lines[0])["tool"] == HOSTILE


WEBSOCKET_PROGRAM = """
import asyncio, sys
from shared.io.logs import configure_logs
configure_logs(sys.argv[1], sys.argv[2], service="kitchen")
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

async def answer(connection):
    async for message in connection:
        await connection.send(message)

async def main():
    async with serve(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", additional_headers={"Authorization": "Token s3cret"}) as vendor:
            await vendor.send("my card number")
            assert await vendor.recv() == "my card number"

asyncio.run(main())
"""


def test_at_the_debug_level_a_websocket_shows_neither_keys_nor_words() -> None:
    lines = "\n".join(logged("debug", "json", WEBSOCKET_PROGRAM))
    assert "connection open" in lines
    assert "s3cret" not in lines
    assert "card" not in lines


NAMES_PROGRAM = """
import sys, threading
from shared.io.logs import configure_logs, get_logger, name_process, show_trace
configure_logs(sys.argv[1], sys.argv[2], "kitchen")
log = get_logger()
log.info("oven_lit")
name_process(worker_id="k-1")
for session, flags in (("s1", "01"), ("s2", "03"), ("s3", "00")):
    show_trace(session, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-" + flags)
    log.info("dish_served", session_id=session)
show_trace("s4", "")
show_trace("s5", "00-nonsense-xx-zz")
speaking = threading.Thread(target=lambda: log.info("dish_eaten", session_id="s5"))
speaking.start()
speaking.join()
"""


def test_lines_name_the_worker_and_the_trace_of_a_sampled_session() -> None:
    lit, *served, eaten = map(json.loads, logged("info", "json", NAMES_PROGRAM))
    assert "worker_id" not in lit
    traces = ["0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319c", None]
    assert [line.get("trace_id") for line in served] == traces
    assert all(line["worker_id"] == "k-1" for line in served)
    assert (eaten["service"], eaten["worker_id"]) == ("kitchen", "k-1"), "another thread"
    assert "trace_id" not in eaten
