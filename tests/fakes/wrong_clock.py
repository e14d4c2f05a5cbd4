"""Processes whose wall clock is wrong: a library that is loaded before theirs moves it, and leaves monotonic clocks."""

import shutil
import subprocess
from pathlib import Path

import pytest

_OFFSET = "WRONG_CLOCK_OFFSET_S"
_SOURCE = f"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset_s(void) {{
    const char *text = getenv("{_OFFSET}");
    return text ? atol(text) : 0;
}}

int clock_gettime(clockid_t clock, struct timespec *now) {{
    int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += offset_s();
    return result;
}}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {{
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}}

time_t time(time_t *now) {{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}}
"""


class WrongClock:
    """Needs a C compiler: without one the test is skipped."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler, so no wrong clocks")
        self._library = folder / "wrong_clock.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), "-x", "c", "-"]
        subprocess.run(command, input=_SOURCE, text=True, check=True)

    def by(self, seconds: int) -> dict[str, str]:
        """Environment variables of a process whose clock is ahead by so much, or behind."""
        return {"LD_PRELOAD": str(self._library), _OFFSET: str(seconds)}
