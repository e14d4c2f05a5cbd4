"""libopus by cffi: decodes directly to 16 kHz mono, with FEC and concealment, which PyAV's wrapper does not offer.

Uses the library in the PyAV wheel, else the system's. `self_test` checks it at start.
"""

import ctypes
import ctypes.util
import platform
from functools import cache
from pathlib import Path
from typing import Any

import av
import cffi

from shared.audio import BYTES_PER_SAMPLE, OPUS_RATES, UPLINK_RATE
from shared.errors import ConfigError

_DECLARATIONS = """
typedef struct OpusEncoder OpusEncoder;
typedef struct OpusDecoder OpusDecoder;
OpusEncoder *opus_encoder_create(int32_t rate, int channels, int application, int *error);
int opus_encoder_ctl(OpusEncoder *encoder, int request, ...);
int32_t opus_encode(OpusEncoder *encoder, const char *pcm, int frame_size, unsigned char *data, int32_t max_bytes);
void opus_encoder_destroy(OpusEncoder *encoder);
OpusDecoder *opus_decoder_create(int32_t rate, int channels, int *error);
int opus_decode(OpusDecoder *decoder, const unsigned char *data, int32_t size, int16_t *pcm, int frame_size, int fec);
void opus_decoder_destroy(OpusDecoder *decoder);
int opus_packet_get_nb_samples(const unsigned char *data, int32_t size, int32_t rate);
const char *opus_get_version_string(void);
"""
# opus_encode's samples are declared as char, so that cffi accepts bytes.
_APPLICATION_RESTRICTED_LOWDELAY = 2051
_SET_BITRATE, _SET_COMPLEXITY = 4002, 4010
_MXCSR_OFFSET = 28  # in glibc's fenv_t on x86-64
_FTZ_DAZ = 0x8040
_FPCR_FZ = 1 << 24
_MAX_FRAME = 1_920  # 120 ms at 16 kHz, the longest packet (RFC 6716 §2.1.4)

ffi = cffi.FFI()
"""Also for pointers of others that the library writes to."""
ffi.cdef(_DECLARATIONS)
Pointer = Any
"""A cffi pointer; cffi has no static types."""


@cache
def _library() -> Any:
    return ffi.dlopen(library_path())


@cache
def library_path() -> str:
    """Path of the libopus in use. Raises `ConfigError` if there is none."""
    for path in _candidates():
        try:
            ffi.dlopen(path)
        except OSError:
            continue
        return path
    raise ConfigError("libopus was not found: reinstall the 'av' wheel, or install the system's libopus0")


def _candidates() -> list[str]:
    bundled = Path(av.__file__).parent.parent / "av.libs"
    system = ctypes.util.find_library("opus")
    return [str(path) for path in sorted(bundled.glob("libopus-*.so*"))] + ([system] if system else [])


_FRAME_TICKS = (*(480, 960, 1_920, 2_880) * 3, *(480, 960) * 2, *(120, 240, 480, 960) * 4)
"""Frame length by TOC configuration (RFC 6716, table 2)."""


def packet_ticks(payload: bytes) -> int:
    """Length of a packet in 48 kHz ticks; 0 if it is malformed."""
    toc = payload[0]
    if toc & 3 == 0:  # one frame, the usual case, needs no call into the library
        return _FRAME_TICKS[toc >> 3]
    ticks: int = _library().opus_packet_get_nb_samples(payload, len(payload), 48_000)
    return max(0, ticks)


_BANDWIDTH_CONFIG = {8_000: 19, 12_000: 23, 16_000: 23, 24_000: 27, 48_000: 31}


def silence_toc(sample_rate: int) -> int:
    """The TOC byte of a 20 ms CELT packet at this rate (RFC 6716, table 2), for use before anything was encoded."""
    return _BANDWIDTH_CONFIG[sample_rate] << 3


class Decoder:
    """One caller's stream, decoded to 16 kHz mono PCM."""

    def __init__(self) -> None:
        self._lib = _library()
        error = ffi.new("int*")
        state = self._lib.opus_decoder_create(UPLINK_RATE, 1, error)
        if error[0]:
            raise ConfigError(f"libopus refused a decoder (error {error[0]})")
        self._state = ffi.gc(state, self._lib.opus_decoder_destroy)
        self._decode = self._lib.opus_decode

    def decode(self, payload: bytes) -> bytes:
        """PCM of one packet; empty if it cannot be decoded."""
        samples: int = self._decode(self._state, payload, len(payload), _pcm, _MAX_FRAME, 0)
        return _pcm_bytes[0 : samples * BYTES_PER_SAMPLE] if samples > 0 else b""

    def decode_fec(self, payload: bytes, samples: int) -> bytes:
        """The packet before `payload`, from the copy that `payload` carries; concealed if it carries none."""
        parts = []
        while samples > 0:
            length = min(samples, _MAX_FRAME)
            size = len(payload)
            got: int = self._decode(self._state, payload, size, _pcm, length - length % 40, 1 if size else 0)
            if got <= 0:
                parts.append(bytes(samples * BYTES_PER_SAMPLE))
                break
            parts.append(_pcm_bytes[0 : got * BYTES_PER_SAMPLE])
            samples -= got
        return b"".join(parts)

    def conceal(self, samples: int) -> bytes:
        """Concealment: a continuation of the last audio, `samples` long (multiples of 2.5 ms)."""
        return self.decode_fec(b"", samples)  # libopus conceals if the payload is empty


class Encoder:
    """Mono agent audio in 20 ms frames, encoded at its own rate in low-delay mode (2.5 ms of look-ahead)."""

    def __init__(self, sample_rate: int, bitrate: int, complexity: int) -> None:
        """Raises `ConfigError` for a rate that Opus does not support."""
        if sample_rate not in OPUS_RATES:
            raise ConfigError(f"Opus does not support {sample_rate} Hz: resample to one of {OPUS_RATES}")
        self._lib = _library()
        error = ffi.new("int*")
        state = self._lib.opus_encoder_create(sample_rate, 1, _APPLICATION_RESTRICTED_LOWDELAY, error)
        if error[0]:
            raise ConfigError(f"libopus refused an encoder (error {error[0]})")
        self._state = ffi.gc(state, self._lib.opus_encoder_destroy)
        self._encode = self._lib.opus_encode
        self._frame_samples = sample_rate // 50
        self.silence = bytes(self._frame_samples * BYTES_PER_SAMPLE)
        self._control(_SET_BITRATE, bitrate)
        self.set_complexity(complexity)

    def set_complexity(self, complexity: int) -> None:
        self._control(_SET_COMPLEXITY, complexity)

    def encode_into(self, pcm: bytes, target: Pointer, max_bytes: int) -> int:
        """Encode one frame to `target`. Returns its size in bytes (<= 0: not encoded)."""
        size: int = self._encode(self._state, pcm, self._frame_samples, target, max_bytes)
        return size

    def encode(self, pcm: bytes) -> bytes:
        """Like `encode_into`, but returns new bytes. Slower."""
        target = ffi.new("unsigned char[]", 1_275)
        return bytes(ffi.buffer(target, max(0, self.encode_into(pcm, target, 1_275))))

    def _control(self, request: int, value: int) -> None:
        if self._lib.opus_encoder_ctl(self._state, request, ffi.cast("int", value)):
            raise ConfigError(f"libopus refused setting {request} = {value}")


_pcm = ffi.new("int16_t[]", _MAX_FRAME)
_pcm_bytes = ffi.buffer(_pcm)
"""Output buffer of all decoders: decoding is synchronous and on one thread."""


def flush_to_zero() -> bool:
    """Make the processor treat denormal numbers as zero. True if it supports that.

    On digital silence libopus computes with denormals, which is 2-10 times as slow as speech (measured: 20 -> 120 µs
    per frame). The setting belongs to the calling thread, which must be the one that encodes and decodes.
    """
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


def self_test() -> str:
    """Encode and decode a frame; returns libopus' version. Raises `ConfigError`."""
    encoder, decoder = Encoder(24_000, 32_000, 0), Decoder()
    if len(decoder.decode(encoder.encode(bytes(960)))) != 640:
        raise ConfigError("libopus does not return 20 ms for 20 ms")
    version = ffi.string(_library().opus_get_version_string())
    return version.decode() if isinstance(version, bytes) else version
