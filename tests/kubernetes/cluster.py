"""A cluster of two nodes on this machine: see `two_nodes/README.md`."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).parent / "two_nodes" / "cluster"
_TIMEOUT_S = 240.0


class CommandFailed(Exception):
    """With what the command wrote."""


class Cluster:
    """Times out after four minutes unless a command is given longer."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    @classmethod
    def boot(cls) -> "Cluster":
        """Start from nothing. Builds the programs first if they are not there, which takes six minutes."""
        subprocess.run([_SCRIPT, "up"], check=True, timeout=900)
        environment = _environment()
        for node in ("n1", "n2"):  # as clouds label them
            command = ["kubectl", "label", "node", node, f"topology.kubernetes.io/zone=zone-{node}"]
            subprocess.run(command, env=environment, check=True, timeout=60, stdout=subprocess.DEVNULL)
        return cls(environment)

    @classmethod
    def running(cls) -> "Cluster | None":
        """The one that runs, if one does."""
        status = subprocess.run([_SCRIPT, "status"], stdout=subprocess.DEVNULL, timeout=60)
        return cls(_environment()) if status.returncode == 0 else None

    def end(self) -> None:
        subprocess.run([_SCRIPT, "down"], check=True, timeout=120)

    def load(self, *archives: Path) -> None:
        """Images for every node."""
        subprocess.run([_SCRIPT, "load", *archives], check=True, timeout=300, stdout=subprocess.DEVNULL)

    async def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = _TIMEOUT_S) -> str:
        """What it prints. Raises `CommandFailed`."""
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(timeout_s):
                out, error = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise CommandFailed(f"kubectl {' '.join(arguments)}: not done in {timeout_s:.0f} s") from None
        if process.returncode:
            raise CommandFailed(f"kubectl {' '.join(arguments)}: {error.decode()}")
        return out.decode()

    async def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.kubectl("get", *arguments, "-o", "json"))
        return found

    async def rolled_out(self, namespace: str, deployment: str) -> None:
        """Raises `CommandFailed` with what its pods say."""
        named = f"deployment/{deployment}"
        try:
            await self.kubectl("-n", namespace, "rollout", "status", named, "--timeout=150s")
        except CommandFailed as error:
            pods = await self.kubectl("-n", namespace, "get", "pods", "-o", "wide")
            said = await self.kubectl("-n", namespace, "logs", named, "--all-pods", "--tail=20")
            raise CommandFailed(f"{error}\n{pods}\n{said}") from error


def _environment() -> dict[str, str]:
    lines = subprocess.run(
        ["bash", "-c", f'eval "$({_SCRIPT} env)" && env -0'], check=True, capture_output=True, text=True
    ).stdout
    return dict(line.split("=", 1) for line in lines.split("\0") if "=" in line)
