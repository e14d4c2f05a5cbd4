"""What `antiphon load` refuses before it starts anything."""

import os
import subprocess
import sys

import pytest

from deploy.process_command import with_import_path


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["stampede"], "stampede: not a scenario"),
        (["steady", "--duration", "soon"], "soon: not a time"),
        (["steady", "--url", "voice.example"], "not an address of a server"),
        (["join"], "no address: write HOST:PORT"),
        (["join", "leader"], "leader: not an address: write HOST:PORT"),
        (["steady", "--api-key-file", "missing"], "missing: No such file"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str], complaint: str) -> None:
    command = [sys.executable, "-P", "-m", "deploy.launch", "load", *arguments]
    done = subprocess.run(command, env=with_import_path(os.environ), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert complaint in done.stderr
