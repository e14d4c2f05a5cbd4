"""Runs a program that cannot outlive its parent: `python bound_process.py PARENT_PID COMMAND...`.

Linux sends the signal when the *thread* that forked us ends (prctl(2), PR_SET_PDEATHSIG), so the parent must start us
from its main thread. The setting survives exec. On other systems the program may outlive its parent.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def bind_to_parent(parent_pid: int) -> bool:
    """Ask to be killed with the parent. False if the parent has already ended: then there is no signal."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    return os.getppid() == parent_pid


def main(arguments: list[str]) -> None:
    parent_pid, command = int(arguments[0]), arguments[1:]
    if bind_to_parent(parent_pid):
        os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
