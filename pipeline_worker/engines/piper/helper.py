"""The helper process that speaks with Piper voices, for many callers at once, slice by slice.

One thread reads the pipe and never waits for a model; the main thread makes slices, one at a time.

Frames in:  {channel, op: "load", voices: [{model: the .onnx file, sha256: or null, speakers: [number or null]}]}
            {channel, op: "speak", model, speaker, length_scale, in_hand_s: speech before it that is not played out yet}
            + the text: asks for its first slice
            {channel, op: "more"}: asks for the next one; {channel, op: "cancel"}
Frames out: to load {channel, loaded: true}; for a slice {channel, sample_rate} + PCM (16 bit, mono), with the first one
            word_ends: [samples from the text's beginning] and with the last one last: true; {channel, error, code}
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline_worker.engines.helper.frames import Frame, pack, read
from pipeline_worker.engines.piper.speech_queue import MOST_TEXTS, SpeechQueue, Turn

if TYPE_CHECKING:
    from pipeline_worker.engines.piper.speech import Speech
    from pipeline_worker.engines.piper.voice import Voice


class Helper:
    """`load` makes a voice of an entry of `voices`, and may raise anything."""

    def __init__(self, load: Callable[[dict[str, Any]], "Voice"], requests: BinaryIO, out: BinaryIO) -> None:
        self._load_voice = load
        self._requests = requests
        self._out = out
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._load_request: Frame | None = None
        self._voices: dict[str, Voice] = {}
        self._queue: SpeechQueue[Speech] = SpeechQueue()
        self._ended = False

    def run(self) -> None:
        """Until the worker closes the pipe."""
        threading.Thread(target=self._take_in, name="requests", daemon=True).start()
        while (work := self._next()) is not None:
            if isinstance(work, Turn):
                self._speak(*work)
            else:
                self._load(work)

    def _next(self) -> Frame | Turn["Speech"] | None:
        with self._changed:
            while not self._ended:
                if self._load_request is not None:
                    request, self._load_request = self._load_request, None
                    return request
                if turn := self._queue.next():
                    return turn
                self._changed.wait()
        return None

    def _take_in(self) -> None:
        try:
            while frame := read(self._requests):
                with self._changed:
                    self._take(frame)
                    self._changed.notify()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _take(self, frame: Frame) -> None:
        channel = frame.header["channel"]
        match frame.header["op"]:
            case "load":
                self._load_request = frame
            case "speak":
                self._open(channel, frame)
            case "more":
                self._queue.ask(channel, time.monotonic())
            case "cancel":
                self._queue.close(channel)

    def _open(self, channel: int, frame: Frame) -> None:
        from pipeline_worker.engines.piper.speech import Speech

        try:
            voice = self._voices[frame.header["model"]]
            speech = Speech(voice, frame.body.decode(), frame.header["speaker"], frame.header["length_scale"])
        except (KeyError, ValueError) as error:
            self._answer(channel, {"error": f"{type(error).__name__}: {error}"})
            return
        if not self._queue.open(channel, speech, time.monotonic() + frame.header.get("in_hand_s", 0.0)):
            self._answer(channel, {"error": f"more than {MOST_TEXTS} texts at once", "code": "engine_busy"})

    def _load(self, request: Frame) -> None:
        channel = request.header["channel"]
        for wanted in request.header["voices"]:
            try:
                self._voices[wanted["model"]] = self._load_voice(wanted)
            except Exception as error:  # noqa: BLE001 - whatever the libraries raise is told, and ends in a ConfigError
                self._answer(channel, {"error": f"{wanted['model']}: {_told(error)}", "code": "bad_model"})
                return
        self._answer(channel, {"loaded": True})

    def _speak(self, channel: int, speech: "Speech") -> None:
        try:
            answer: dict[str, Any] = {"sample_rate": speech.sample_rate}
            first = not speech.begun
            if first:
                speech.begin()
                if not self._wanted(channel):
                    return
            samples, last = speech.next_slice()
        except Exception as error:  # noqa: BLE001 - one text fails, the helper serves the others
            self._close(channel)
            self._answer(channel, {"error": _told(error)})
            return
        if first:
            answer["word_ends"] = speech.word_ends
        if last:
            answer["last"] = True
        with self._changed:
            wanted = self._queue.made(channel, len(samples) / speech.sample_rate, time.monotonic())
        if wanted:
            self._answer(channel, answer, samples.tobytes())
        if last:
            self._close(channel)

    def _wanted(self, channel: int) -> bool:
        with self._changed:
            return self._queue.wants(channel)

    def _close(self, channel: int) -> None:
        with self._changed:
            self._queue.close(channel)

    def _answer(self, channel: int, header: dict[str, Any], pcm: bytes = b"") -> None:
        with self._writing:
            self._out.write(pack({**header, "channel": channel}, pcm))


def load(wanted: dict[str, Any]) -> "Voice":
    # Here, so that a broken installation is told as an answer.
    from pipeline_worker.engines.piper.speech import Speech
    from pipeline_worker.engines.piper.voice import Voice

    voice = Voice(Path(wanted["model"]), wanted["sha256"])
    for speaker in wanted["speakers"]:
        speech = Speech(voice, "Ready.", speaker, 1.0)
        speech.begin()
        speech.next_slice()
    return voice


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def main() -> None:
    # The worker decides when we end, by closing our input; a Ctrl-C or a service manager signals the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What the library prints must not get among the frames.
    try:
        Helper(load, sys.stdin.buffer, out).run()
    except BrokenPipeError:
        os._exit(0)  # The worker is gone.


if __name__ == "__main__":
    main()
