"""What this process may use of the machine's processor, and how fast that is."""

import os
import time
from pathlib import Path

from shared.frames import AudioFrame
from shared.wire import decode_batch, encode_batch

_CGROUP = Path("/sys/fs/cgroup")
_REFERENCE_S = 111e-6
"""What a round takes on the core on which the costs of sessions were measured."""
_ROUNDS = 40
_FRAMES = [AudioFrame(f"session-{index % 8}", 1, index, index * 320, 16_000, 1, bytes(640)) for index in range(64)]


def usable_cores(cgroup: Path = _CGROUP) -> float:
    """Cores that this process may use: those of its affinity, or less if its container has a CPU limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(float(allowed), _quota(cgroup))


def core_speed() -> float:
    """Speed of the present core, 1.0 for the one on which the costs of sessions were measured. Takes 5 ms there.

    The work is that of media and pipeline workers: frames to and from the broker's format. The fastest round counts,
    in CPU time, so a busy neighbour does not make the core seem slow.
    """
    return _REFERENCE_S / min(_round_s() for _ in range(_ROUNDS))


def _round_s() -> float:
    began_s = time.thread_time()
    decode_batch(encode_batch("media-1", 1, 0, _FRAMES))
    return max(1e-7, time.thread_time() - began_s)


def _quota(cgroup: Path) -> float:
    """The container's CPU limit (cgroup v2 or v1), in cores. Infinite without one."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return float("inf")
    try:
        limit, of = int(quota), int(period)
    except ValueError:  # "max"
        return float("inf")
    return limit / of if limit > 0 and of > 0 else float("inf")
