"""The helper process that speaks with Piper: one sentence after the other.

A process of its own because the package (piper-tts, with the eSpeak NG in it) is GPL-3, and because a sentence takes
the processor for a while.

Frames in:  {channel, op: "load", voices: [paths of .onnx files]}; {channel, op: "speak", voice, speaker, length_scale}
            + the text; {channel, op: "cancel"}
Frames out: to load {channel, loaded: true}; to speak, for each sentence, {channel, sample_rate, word_ends: [samples
            from the text's beginning]} + PCM (16 bit, mono), and at last {channel, last: true}; {channel, error, code}
"""

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from pipeline_worker.engines.pipe_frames import Frame, pack, read

_REQUESTS_WAITING = 1024
_LOUDNESS = 0.8
"""Piper brings each sentence to full scale, above which a change of the rate would carry it."""
_END = "$"
"""Piper's mark for the end of a sentence."""

Speak = Callable[[str, int | None, float], Iterable[Any]]
"""Text, speaker and length scale to Piper's audio chunks."""


def load_voice(path: str) -> Speak:
    from piper import PiperVoice, SynthesisConfig  # here, so that a broken installation is told as an answer

    voice = PiperVoice.load(path, include_alignments=True)

    def speak(text: str, speaker: int | None, length_scale: float) -> Iterable[Any]:
        settings = SynthesisConfig(
            speaker_id=speaker, length_scale=voice.config.length_scale * length_scale, volume=_LOUDNESS
        )
        chunks: Iterable[Any] = voice.synthesize(text, settings, include_alignments=True)
        return chunks

    return speak


def word_ends(alignments: Iterable[Any], begin: int) -> list[int]:
    """Where each word ends, from Piper's phonemes and their lengths. A pause belongs to the word before it."""
    ends: list[int] = []
    at = begin
    inside = False
    for alignment in alignments:
        at += int(alignment.num_samples)
        if alignment.phoneme in (" ", _END):
            if inside:
                ends.append(at)
            elif ends:
                ends[-1] = at
            inside = False
        elif alignment.phoneme.isalpha():  # marks and the beginning are sounds of no word
            inside = True
    return ends


class Speaker:
    def __init__(self, load: Callable[[str], Speak], out: BinaryIO) -> None:
        self._load = load
        self._out = out
        self._voices: dict[str, Speak] = {}
        self._wanted: set[int] = set()

    def want(self, channel: int) -> None:
        """As `cancel`, called from the thread that reads."""
        self._wanted.add(channel)

    def cancel(self, channel: int) -> None:
        self._wanted.discard(channel)

    def answer(self, request: Frame) -> None:
        channel = request.header["channel"]
        if channel not in self._wanted:
            return
        try:
            if request.header["op"] == "load":
                self._load_voices(channel, request.header["voices"])
            else:
                self._speak(channel, request.header, request.body.decode())
        except Exception as error:  # noqa: BLE001 - one text fails, the helper serves the others
            self._answer(channel, {"error": f"{type(error).__name__}: {error}"})
        self._wanted.discard(channel)

    def _load_voices(self, channel: int, paths: list[str]) -> None:
        for path in paths:
            try:
                self._voices[path] = self._load(path)
            except Exception as error:  # noqa: BLE001 - whatever the library raises is told
                self._answer(channel, {"error": f"{path}: {type(error).__name__}: {error}", "code": "bad_model"})
                return
        self._answer(channel, {"loaded": True})

    def _speak(self, channel: int, header: dict[str, Any], text: str) -> None:
        spoken = 0
        for chunk in self._voices[header["voice"]](text, header["speaker"], header["length_scale"]):
            if channel not in self._wanted:
                return
            ends = word_ends(chunk.phoneme_alignments or (), spoken)
            spoken += len(chunk.audio_int16_array)
            self._answer(
                channel, {"sample_rate": chunk.sample_rate, "word_ends": ends}, chunk.audio_int16_array.astype("<i2")
            )
        self._answer(channel, {"last": True})

    def _answer(self, channel: int, header: dict[str, Any], samples: Any = None) -> None:
        self._out.write(pack({**header, "channel": channel}, b"" if samples is None else samples.tobytes()))


def main() -> None:
    # The worker decides when we end, by closing our input; a Ctrl-C or a service manager signals the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What the library prints must not get among the frames.
    speaker = Speaker(load_voice, out)
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
    try:
        while request := requests.get():
            speaker.answer(request)
    except BrokenPipeError:
        os._exit(0)  # The worker is gone.


if __name__ == "__main__":
    main()
