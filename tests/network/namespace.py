"""Hosts as network namespaces without a name: the kernel removes one when nothing uses it any more.

A namespace is entered by the current thread (`setns(2)`). Sockets and processes that the thread creates meanwhile stay
in it for good, so that a caller and the services may share a test but not a network.
"""

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Self

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_OF_THIS_THREAD = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """May be entered again while it is entered. Raises `OSError` if this user may not create one."""

    def __init__(self) -> None:
        before = os.open(_OF_THIS_THREAD, os.O_RDONLY)
        try:
            _checked(_libc.unshare(_NEW_NETWORK))
            self._fd = os.open(_OF_THIS_THREAD, os.O_RDONLY)
            _checked(_libc.setns(before, _NEW_NETWORK))
        finally:
            os.close(before)
        self._left: list[int] = []
        self.run("ip link set lo up")

    def __enter__(self) -> Self:
        self._left.append(os.open(_OF_THIS_THREAD, os.O_RDONLY))
        _checked(_libc.setns(self._fd, _NEW_NETWORK))
        return self

    def __exit__(self, *_: object) -> None:
        before = self._left.pop()
        _checked(_libc.setns(before, _NEW_NETWORK))
        os.close(before)

    @property
    def path(self) -> str:
        """Names it to `ip link ... netns`."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def run(self, *commands: str) -> None:
        """Run each command in it, by its words. Raises `RuntimeError` with what a failed one said."""
        with self:
            for command in commands:
                done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
                if done.returncode:
                    raise RuntimeError(f"{command}: {done.stderr or done.stdout}")

    def set(self, sysctl: str, value: int) -> None:
        """Such as `ipv4/ip_forward`."""
        with self:
            Path("/proc/sys/net", sysctl).write_text(str(value))

    def close(self) -> None:
        os.close(self._fd)


def why_not() -> str:
    """Why there are no namespaces here; empty if there are."""
    try:
        Namespace().close()
    except OSError as error:
        return f"network namespaces are not permitted here: {error.strerror}"
    return ""


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
