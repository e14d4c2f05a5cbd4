"""The helper process for eSpeak NG: speaks one text at a time and streams it in pieces.

A separate process because the library is GPL-3, keeps its state in globals, and can crash. Its C interface is
documented in speak_lib.h of eSpeak NG 1.52.

Frames in:  {channel, op: "speak", voice, rate, pitch, volume} + the text; {channel, op: "cancel"}
Frames out: {channel, sample_rate, words: [[first character, first sample], ...]} + PCM (16 bit, mono), and at the end
            {channel, last: true} or {channel, error}
"""

import ctypes
import os
from collections import deque
from typing import Any, BinaryIO

import espeakng_loader

from pipeline_worker.engines.helper.frames import Frame
from pipeline_worker.engines.helper.loop import HelperLoop, serve

_PIECE_MS = 100
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_EVENT_END_OF_LIST, _EVENT_WORD = 0, 1
_CHARS_UTF8, _POSITION_CHARACTER = 1, 1
_RATE, _VOLUME, _PITCH = 1, 2, 3
_MOST_TEXTS = 1024


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


class EspeakHelper(HelperLoop[Frame]):
    def __init__(self, requests: BinaryIO, out: BinaryIO) -> None:
        super().__init__(requests, out)
        self._texts: deque[Frame] = deque()
        self._wanted: set[int] = set()
        self._channel = 0
        """Channel of the text that is being spoken."""
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _PIECE_MS, os.fsencode(espeakng_loader.get_data_path()), 0
        )
        if self.sample_rate <= 0:
            raise SystemExit("eSpeak NG cannot be initialized: is its data folder in the espeakng-loader package?")
        self._callback = _Callback(self._take_speech)
        self._library.espeak_SetSynthCallback(self._callback)

    def take(self, frame: Frame) -> None:
        channel = frame.header["channel"]
        if frame.header["op"] == "cancel":
            self._wanted.discard(channel)
        elif len(self._texts) < _MOST_TEXTS:
            self._wanted.add(channel)
            self._texts.append(frame)
        else:
            self.answer(channel, {"error": f"more than {_MOST_TEXTS} texts at once", "code": "engine_busy"})

    def next_work(self) -> Frame | None:
        return self._texts.popleft() if self._texts else None

    def work(self, work: Frame) -> None:
        self._channel = work.header["channel"]
        if self._channel in self._wanted:
            self.answer(self._channel, self._synthesize(work.header, work.body))
        self._wanted.discard(self._channel)

    def _synthesize(self, header: dict[str, Any], text: bytes) -> dict[str, Any]:
        voice = str(header["voice"])
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return {"error": f"eSpeak NG has no voice '{voice}'", "code": "unknown_voice"}
        for parameter, name in ((_RATE, "rate"), (_VOLUME, "volume"), (_PITCH, "pitch")):
            self._library.espeak_SetParameter(parameter, int(header[name]), 0)
        status = self._library.espeak_Synth(
            text + b"\0", len(text) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        return {"last": True} if status == 0 else {"error": f"eSpeak NG failed with status {status}"}

    def _take_speech(self, samples: Any, count: int, events: Any) -> int:
        """Called by the library. Returning 1 stops it; in the last call `samples` is NULL."""
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
            try:
                self.answer(self._channel, {"sample_rate": self.sample_rate, "words": words}, pcm)
            except OSError:
                os._exit(0)  # the worker is gone, and an exception cannot pass through the library
        return 0


if __name__ == "__main__":
    serve(EspeakHelper)
