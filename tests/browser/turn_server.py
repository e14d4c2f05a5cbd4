"""A real TURN server (coturn), for callers whose network allows nothing else.

It knows no users: it takes those whose names are signed with its secret (`use-auth-secret`).
"""

import contextlib
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.fakes.ports import free_port

_STOP_TIMEOUT_S = 10.0
_BINDING_REQUEST = struct.pack("!HHI12x", 0x0001, 0, 0x2112A442)  # RFC 8489 §5
_ATTEMPTS = 50


class TurnServer(NamedTuple):
    host: str
    port: int
    secret_file: Path
    log: Path

    def url(self, transport: str = "udp") -> str:
        return f"turn:{self.host}:{self.port}?transport={transport}"


@contextlib.contextmanager
def turn_server(host: str = "127.0.0.1", *peers: str) -> Iterator[TurnServer]:
    """On loopback it relays to loopback, on another host to `peers` only. Keeps its files to itself."""
    executable = shutil.which("turnserver")
    assert executable, "no turnserver: sh deploy/debian-packages.sh coturn"
    with tempfile.TemporaryDirectory() as folder:
        server = TurnServer(host, free_port(), Path(folder) / "secret", Path(folder) / "turn.log")
        secret = secrets.token_hex(16)
        server.secret_file.write_text(secret)
        options = [
            "-n",  # no configuration file
            *("--listening-ip", host, "--relay-ip", host, "--listening-port", str(server.port)),
            *(["--allow-loopback-peers"] if host == "127.0.0.1" else _only(peers)),
            *("--use-auth-secret", "--static-auth-secret", secret, "--realm", "antiphon.test"),
            *("--no-tls", "--no-dtls", "--no-tcp-relay", "--no-cli", "--no-multicast-peers", "--relay-threads", "1"),
            *("--userdb", f"{folder}/turn.db", "--pidfile", f"{folder}/turn.pid"),
            *("--log-file", str(server.log), "--simple-log", "--verbose"),
        ]
        process = subprocess.Popen([executable, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_ready(host, server.port)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _only(peers: tuple[str, ...]) -> list[str]:
    """As docs/access.md says: a client reaches the media workers through it, and nothing else."""
    return ["--denied-peer-ip=0.0.0.0-255.255.255.255", *(f"--allowed-peer-ip={peer}" for peer in peers)]


def _wait_until_ready(host: str, port: int) -> None:
    """It answers a STUN binding request. Raises `TimeoutError` if it does not within 10 s."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        probe.settimeout(0.2)
        for _ in range(_ATTEMPTS):
            try:
                probe.send(_BINDING_REQUEST)
                probe.recv(1_500)
                return
            except TimeoutError:
                continue
            except ConnectionRefusedError:  # nobody listens yet
                time.sleep(0.2)
    raise TimeoutError("the TURN server does not answer")
