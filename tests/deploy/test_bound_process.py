import os
import select
import subprocess
import sys
import textwrap

from deploy import bound_process

DEADLINE_S = 30.0
PARENT = textwrap.dedent(
    """
    import subprocess, sys
    from deploy.process_command import bound_command
    child = subprocess.Popen(bound_command(["sh", "-c", "echo running $$; exec sleep 600"]), start_new_session=True)
    child.wait()
    """
)


def test_it_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline().removeprefix("running "))
        child = os.pidfd_open(pid)
        try:
            assert not select.select([child], [], [], 0)[0]
            parent.kill()
            parent.wait(DEADLINE_S)
            assert select.select([child], [], [], DEADLINE_S)[0]
        finally:
            os.close(child)


def test_it_does_not_start_when_the_parent_has_ended() -> None:
    command = [sys.executable, bound_process.__file__, "1", "echo", "began"]
    run = subprocess.run(command, timeout=DEADLINE_S, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")
