import os
import socket
import subprocess
import sys
from pathlib import Path

from shared.io.service import EXIT_CONFIG

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_udp_port_that_is_taken_is_named_and_not_tried_again(broker_url: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        settings = {"REDIS_URL": broker_url, "PUBLIC_IPS": "127.0.0.1", "MEDIA_PORT": str(number)}
        run = subprocess.run(
            [sys.executable, "-m", "media_worker"],
            cwd=ROOT,
            env=os.environ | {f"ANTIPHON_{name}": value for name, value in settings.items()},
            timeout=60,
            capture_output=True,
            text=True,
        )
    assert run.returncode == EXIT_CONFIG
    assert f"media_worker: UDP port {number} of 127.0.0.1 is taken by another process" in run.stderr
    assert "Traceback" not in run.stderr
