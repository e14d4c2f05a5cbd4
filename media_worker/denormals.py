"""Makes the processor treat denormal numbers as zero.

On digital silence libopus computes with denormals, which is 2-10 times as slow as speech (measured: 20 -> 120 µs per
frame). The setting belongs to the calling thread, which must be the one that encodes and decodes.
"""

import ctypes
import platform

_MXCSR_OFFSET = 28  # in glibc's fenv_t on x86-64
_FTZ_DAZ = 0x8040
_FPCR_FZ = 1 << 24


def flush_to_zero() -> bool:
    """True if this processor supports it."""
    try:
        libm = ctypes.CDLL("libm.so.6")
    except OSError:
        return False
    machine = platform.machine()
    environment = ctypes.create_string_buffer(64)
    if libm.fegetenv(environment) != 0:
        return False
    if machine == "x86_64":
        word = ctypes.c_uint32.from_buffer(environment, _MXCSR_OFFSET)
        word.value |= _FTZ_DAZ
    elif machine == "aarch64":
        word = ctypes.c_uint32.from_buffer(environment, 0)
        word.value |= _FPCR_FZ
    else:
        return False
    return bool(libm.fesetenv(environment) == 0)
