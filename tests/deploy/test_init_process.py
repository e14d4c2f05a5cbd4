"""The first process of a container, with processes that it did not start itself."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.process_command import APP_FOLDER

_START = """
import ctypes, os, signal, subprocess, sys, time
from deploy.init_process import fork_service
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become ours, as in a container
first = os.getpid()
fork_service()
"""


@contextmanager
def _first_process(service: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _START + textwrap.dedent(service)]
    with subprocess.Popen(command, cwd=APP_FOLDER, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(78)", 78), ("os.kill(os.getpid(), signal.SIGKILL)", 137)])
def test_it_ends_like_its_service(ending: str, code: int) -> None:
    with _first_process(ending) as process:
        assert process.wait(10) == code


def test_a_signal_reaches_the_service() -> None:
    service = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        print("ready", flush=True)
        time.sleep(30)
    """
    with _first_process(service) as process:
        assert _line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 3


def test_a_signal_that_nobody_handles_ends_the_service() -> None:
    with _first_process("print('ready', flush=True); time.sleep(30)") as process:
        assert _line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def test_a_ctrl_c_of_the_terminal_is_not_delivered_twice() -> None:
    with _first_process("print(os.getpgrp() != os.getpgid(first), flush=True)") as process:
        assert _line(process) == "True"


def test_no_orphan_stays_as_a_zombie() -> None:
    service = """
        parent = subprocess.run([sys.executable, "-c", '''if True:
            import subprocess
            print(subprocess.Popen(["sleep", "0.1"], stdout=subprocess.DEVNULL).pid)
        '''], stdout=subprocess.PIPE, text=True)
        orphan = int(parent.stdout)
        deadline = time.monotonic() + 10
        while os.path.exists(f"/proc/{orphan}") and time.monotonic() < deadline:
            time.sleep(0.02)
        print(os.path.exists(f"/proc/{orphan}"), flush=True)
    """
    with _first_process(service) as process:
        assert _line(process) == "False"
        assert process.wait(10) == 0
