"""The helper process that speaks with eSpeak NG: one text after the other, in pieces as they come.

A process of its own because the library is GPL-3, keeps its state in globals, and can crash. Its C interface is
described in speak_lib.h of eSpeak NG 1.52.

Frames in:  {channel, op: "speak", voice, rate, pitch, volume} + the text; {channel, op: "cancel"}
Frames out: {channel, sample_rate, words: [[first character, first sample], ...]} + PCM (16 bit, mono), and at last
            {channel, last: true} or {channel, error}
"""

import ctypes
import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

import espeakng_loader

from pipeline_worker.engines.helper.frames import Frame, pack, read

_PIECE_MS = 100
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_EVENT_END_OF_LIST, _EVENT_WORD = 0, 1
_CHARS_UTF8, _POSITION_CHARACTER = 1, 1
_RATE, _VOLUME, _PITCH = 1, 2, 3
_REQUESTS_WAITING = 1024


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Speaker:
    """The library, and the one text it speaks at a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._wanted: set[int] = set()
        self._channel = 0
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _PIECE_MS, os.fsencode(espeakng_loader.get_data_path()), 0
        )
        if self.sample_rate <= 0:
            raise SystemExit("eSpeak NG does not initialise: is its data folder in the espeakng-loader package?")
        self._callback = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def want(self, channel: int) -> None:
        """As `cancel`, called from the thread that reads."""
        self._wanted.add(channel)

    def cancel(self, channel: int) -> None:
        self._wanted.discard(channel)

    def speak(self, request: Frame) -> None:
        self._channel = request.header["channel"]
        if self._channel in self._wanted:
            self._answer(self._synthesise(request.header, request.body))
        self._wanted.discard(self._channel)

    def _synthesise(self, header: dict[str, Any], text: bytes) -> dict[str, Any]:
        voice = str(header["voice"])
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return {"error": f"eSpeak NG has no voice '{voice}'", "code": "unknown_voice"}
        for parameter, name in ((_RATE, "rate"), (_VOLUME, "volume"), (_PITCH, "pitch")):
            self._library.espeak_SetParameter(parameter, int(header[name]), 0)
        status = self._library.espeak_Synth(
            text + b"\0", len(text) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        return {"last": True} if status == 0 else {"error": f"eSpeak NG failed with status {status}"}

    def _take(self, samples: Any, count: int, events: Any) -> int:
        """Called by the library; 1 makes it stop. There are no samples (NULL) in the very last call."""
        if self._channel not in self._wanted:
            return 1
        words = []
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            if events[index].type == _EVENT_WORD:
                words.append([events[index].text_position - 1, events[index].sample])
            index += 1
        pcm = ctypes.string_at(samples, count * 2) if samples and count > 0 else b""
        if words or pcm:
            self._answer({"sample_rate": self.sample_rate, "words": words}, pcm)
        return 0

    def _answer(self, header: dict[str, Any], body: bytes = b"") -> None:
        try:
            self._out.write(pack({**header, "channel": self._channel}, body))
        except OSError:
            os._exit(0)  # Nobody listens any more, and an exception cannot travel through the library.


def main() -> None:
    # The worker decides when we end, by closing our input; a Ctrl-C or a service manager signals the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What the library prints must not get among the frames.
    speaker = Speaker(out)
    requests: queue.Queue[Frame | None] = queue.Queue(_REQUESTS_WAITING)

    def take_in() -> None:
        while frame := read(sys.stdin.buffer):
            if frame.header["op"] == "cancel":
                speaker.cancel(frame.header["channel"])
            else:
                speaker.want(frame.header["channel"])
                requests.put(frame)
        requests.put(None)

    threading.Thread(target=take_in, name="requests", daemon=True).start()
    while request := requests.get():
        speaker.speak(request)


if __name__ == "__main__":
    main()
