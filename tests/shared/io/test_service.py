import os
import signal
import subprocess
import sys

import pytest

from shared.errors import AntiphonError, BrokerError, ConfigError, EngineError
from shared.io.build import own_version
from shared.io.service import EXIT_BROKER, EXIT_CONFIG, EXIT_FAILED, exit_code_for
from shared.keys import WIRE_VERSION

DEADLINE_S = 60
PROGRAM = """
import asyncio, sys
from shared.errors import AntiphonError, BrokerError, ConfigError
from shared.io.service import run_service, settle_memory
from shared.settings import Settings

async def serve(settings, stop):
    {serve}

sys.exit(run_service("kitchen", "Cooks.", Settings, serve))
"""


def service(serve: str, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")} | settings
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(serve=serve), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("serve", "code", "reason"),
    [
        ("raise ConfigError('no such oven: light it')", EXIT_CONFIG, "kitchen: no such oven: light it"),
        ("raise BrokerError('no Redis there')", EXIT_BROKER, "kitchen: no Redis there"),
        ("raise AntiphonError('burnt')", EXIT_FAILED, "kitchen: burnt"),
        ("raise ExceptionGroup('x', [ExceptionGroup('y', [BrokerError('inner')])])", EXIT_BROKER, "kitchen: inner"),
        ("return", 0, "service_stopped"),
    ],
)
def test_the_exit_code_follows_the_error(serve: str, code: int, reason: str) -> None:
    returned, _, err = ended(service(serve))
    assert returned == code
    assert reason in err
    assert "Traceback" not in err


def test_a_bug_is_not_a_clean_exit() -> None:
    code, _, err = ended(service("raise KeyError('bug')"))
    assert code == 1
    assert "Traceback" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_end_what_it_runs(number: signal.Signals) -> None:
    process = service("settle_memory(); print('open', flush=True); await stop.wait(); print('closed')")
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    process.send_signal(number)
    assert ended(process)[:2] == (0, "closed\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("draining", ["await asyncio.sleep(600)", "import time; time.sleep(600)"])
def test_a_second_signal_ends_a_process_that_is_draining_or_hangs_at_once(
    draining: str, number: signal.Signals
) -> None:
    process = service(f"print('open', flush=True); await stop.wait(); print('draining', flush=True); {draining}")
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "draining\n"
    process.send_signal(number)
    assert ended(process) == (-number, "", "")


def test_a_wrong_setting_prevents_the_start() -> None:
    code, out, err = ended(service("print('started')", ANTIPHON_NO_SUCH="1"))
    assert (code, out) == (EXIT_CONFIG, "")
    assert "kitchen: unknown setting ANTIPHON_NO_SUCH" in err


def test_help_says_purpose_and_settings() -> None:
    code, out, _ = ended(service("print('started')", "--help"))
    assert code == 0
    assert out.startswith("usage: antiphon kitchen\n\nCooks.\n")
    assert "a second one ends it at once" in out
    assert "ANTIPHON_REDIS_URL" in out
    assert "started" not in out


def test_other_arguments_are_refused() -> None:
    code, out, _ = ended(service("print('started')", "--port", "1"))
    assert code == 2
    assert "the only argument is --help" in out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), EXIT_CONFIG),
        (BrokerError("x"), EXIT_BROKER),
        (EngineError("x"), EXIT_FAILED),
        (AntiphonError("x"), EXIT_FAILED),
    ],
)
def test_exit_codes_of_errors(error: AntiphonError, code: int) -> None:
    assert exit_code_for(error) == code


def test_a_service_says_which_build_it_is() -> None:
    scrape = "from prometheus_client import generate_latest; print(generate_latest().decode())"
    code, out, _ = ended(service(scrape))
    assert code == 0
    assert f'antiphon_build_info{{version="{own_version()}",wire="{WIRE_VERSION}"}} 1.0' in out
