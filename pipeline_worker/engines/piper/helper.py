"""The helper process for Piper voices: speaks for many callers at once, slice by slice.

Frames in:  {channel, op: "load", voices: [{model: the .onnx file, sha256: or null, speakers: [number or null]}]}
            {channel, op: "speak", model, speaker, length_scale, in_hand_s: earlier speech not yet played out}
            + the text: requests the first slice
            {channel, op: "more"}: requests the next slice; {channel, op: "cancel"}
Frames out: per slice {channel, sample_rate} + PCM (16 bit, mono); the first one has word_ends: [samples from the start
            of the text], the last one last: true; {channel, error, code}
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline_worker.engines.helper.frames import Frame
from pipeline_worker.engines.helper.loop import HelperLoop, described, serve
from pipeline_worker.engines.piper.speech_queue import MOST_TEXTS, SpeechQueue, Turn
from shared.errors import EngineError

if TYPE_CHECKING:
    from pipeline_worker.engines.piper.speech import Speech
    from pipeline_worker.engines.piper.voice import Voice


class PiperHelper(HelperLoop[Turn["Speech"]]):
    """`load_voice` loads an entry of `voices` and may raise anything."""

    def __init__(self, load_voice: Callable[[dict[str, Any]], "Voice"], requests: BinaryIO, out: BinaryIO) -> None:
        super().__init__(requests, out)
        self._load_voice = load_voice
        self._voices: dict[str, Voice] = {}
        self._queue: SpeechQueue[Speech] = SpeechQueue()

    def take(self, frame: Frame) -> None:
        channel = frame.header["channel"]
        match frame.header["op"]:
            case "speak":
                self._open(channel, frame)
            case "more":
                self._queue.ask(channel, time.monotonic())
            case "cancel":
                self._queue.close(channel)

    def next_work(self) -> Turn["Speech"] | None:
        return self._queue.next()

    def load(self, header: dict[str, Any]) -> None:
        for wanted in header["voices"]:
            try:
                self._voices[wanted["model"]] = self._load_voice(wanted)
            except Exception as error:
                raise EngineError(f"{wanted['model']}: {described(error)}") from error

    def work(self, work: Turn["Speech"]) -> None:
        channel, speech = work
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
            self.answer(channel, {"error": described(error)})
            return
        if first:
            answer["word_ends"] = speech.word_ends
        if last:
            answer["last"] = True
        with self.changed:
            wanted = self._queue.made(channel, len(samples) / speech.sample_rate, time.monotonic())
        if wanted:
            self.answer(channel, answer, samples.tobytes())
        if last:
            self._close(channel)

    def _open(self, channel: int, frame: Frame) -> None:
        from pipeline_worker.engines.piper.speech import Speech

        try:
            voice = self._voices[frame.header["model"]]
            speech = Speech(voice, frame.body.decode(), frame.header["speaker"], frame.header["length_scale"])
        except (KeyError, ValueError) as error:
            self.answer(channel, {"error": described(error)})
            return
        if not self._queue.open(channel, speech, time.monotonic() + frame.header.get("in_hand_s", 0.0)):
            self.answer(channel, {"error": f"more than {MOST_TEXTS} texts at once", "code": "engine_busy"})

    def _wanted(self, channel: int) -> bool:
        with self.changed:
            return self._queue.wants(channel)

    def _close(self, channel: int) -> None:
        with self.changed:
            self._queue.close(channel)


def load(wanted: dict[str, Any]) -> "Voice":
    # Imported here so that a broken installation is reported as an answer.
    from pipeline_worker.engines.piper.speech import Speech
    from pipeline_worker.engines.piper.voice import Voice

    voice = Voice(Path(wanted["model"]), wanted["sha256"])
    for speaker in wanted["speakers"]:
        speech = Speech(voice, "Ready.", speaker, 1.0)
        speech.begin()
        speech.next_slice()
    return voice


def _load_in_helper(wanted: dict[str, Any]) -> "Voice":
    from pipeline_worker.engines.onnx_session import flush_denormals

    flush_denormals()
    return load(wanted)


if __name__ == "__main__":
    serve(partial(PiperHelper, _load_in_helper))
