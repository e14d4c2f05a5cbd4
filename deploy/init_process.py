"""The first process of a container: passes signals on to the service, and reaps processes that nobody waits for.

To a process with the id 1 the kernel delivers only signals that have a handler: one that arrives during start-up, or
the second SIGTERM, would be lost. And processes whose parent has ended become its children.
"""

import os
import signal


def fork_service() -> None:
    """Forks. Returns in the child, which does the work; this process stays until it has ended, and ends like it."""
    # A blocked signal is not lost: it waits for `sigwait` here, and to be unblocked in the child.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    service = os.fork()
    if service == 0:
        os.setsid()  # a terminal's Ctrl-C goes to the parent only, which passes it on once
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        return
    os._exit(_wait(service))


def _wait(service: int) -> int:
    """Returns the exit code of `service`, 128 + number if a signal ended it."""
    while True:
        number = signal.sigwait(signal.valid_signals())
        if number != signal.SIGCHLD:
            os.kill(service, number)
            continue
        for pid, status in iter(_reap, (0, 0)):
            if pid == service:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _reap() -> tuple[int, int]:
    """Id and status of a child that has ended; zeros if none has."""
    return os.waitpid(-1, os.WNOHANG)
