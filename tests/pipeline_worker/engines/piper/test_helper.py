"""The helper's side, in this process, with the shipped voice."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from pipeline_worker.engines.helper.frames import Frame, pack, read
from pipeline_worker.engines.piper.helper import PiperHelper, load
from pipeline_worker.engines.piper.speech_queue import MOST_TEXTS
from pipeline_worker.engines.piper.voice import Voice
from tests.pipeline_worker.engines.piper.piper_voices import MODEL, joe

LONG = "We have a table for four people at seven on Friday, and one for two people at nine."


def loaded(wanted: dict[str, Any]) -> Voice:
    if wanted["model"] != "joe":
        raise ValueError("no such voice")
    return joe()


class Talk:
    """The worker's side of the pipe."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests = requests
        self._answers = answers

    def send(self, channel: int, op: str, text: str = "", **header: Any) -> None:
        self._requests.write(pack({"channel": channel, "op": op, **header}, text.encode()))

    def load(self, *models: str) -> dict[str, Any]:
        self.send(99, "load", voices=[{"model": model, "sha256": None, "speakers": [None]} for model in models])
        return self.receive().header

    def speak(self, channel: int, text: str, speaker: int | None = None, model: str = "joe") -> None:
        self.send(channel, "speak", text, model=model, speaker=speaker, length_scale=1.0)

    def receive(self) -> Frame:
        frame = read(self._answers)
        assert frame is not None
        return frame

    def hang_up(self) -> list[Frame]:
        """The helper's remaining output."""
        self._requests.close()
        frames = []
        while frame := read(self._answers):
            frames.append(frame)
        return frames


@contextmanager
def talking(*voices: str) -> Iterator[Talk]:
    requests, answers = os.pipe(), os.pipe()
    with (
        os.fdopen(requests[0], "rb") as helper_in,
        os.fdopen(requests[1], "wb", buffering=0) as worker_out,
        os.fdopen(answers[0], "rb") as worker_in,
    ):
        helper_out = os.fdopen(answers[1], "wb", buffering=0)  # closed by the thread, as by a process that ends

        def run() -> None:
            with helper_out:
                PiperHelper(loaded, helper_in, helper_out).run()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            talk = Talk(worker_out, worker_in)
            if voices:
                assert talk.load(*voices) == {"channel": 99, "loaded": True}
            yield talk
        finally:
            worker_out.close()
            thread.join(timeout=20)
            assert not thread.is_alive()


def test_a_text_is_spoken_slice_by_slice_as_they_are_asked_for() -> None:
    with talking("joe") as talk:
        talk.speak(1, LONG)
        frames = [talk.receive()]
        while not frames[-1].header.get("last"):
            talk.send(1, "more")
            frames.append(talk.receive())
    assert len(frames) > 3
    first, *others = [frame.header for frame in frames]
    assert first.keys() == {"channel", "sample_rate", "word_ends"}
    assert all(header.keys() <= {"channel", "sample_rate", "last"} for header in others)
    samples = sum(len(frame.body) for frame in frames) // 2
    assert 3.5 * 22_050 < samples < 7 * 22_050
    assert len(first["word_ends"]) == len(LONG.split())
    assert first["word_ends"][-1] <= samples


def test_nothing_is_synthesised_unless_it_is_requested() -> None:
    with talking("joe") as talk:
        talk.speak(1, LONG)
        talk.speak(2, LONG)
        assert {talk.receive().header["channel"] for _ in range(2)} == {1, 2}
        talk.speak(3, "Yes.")
        assert talk.receive().header["channel"] == 3
        assert talk.hang_up() == []


def test_texts_of_several_callers_take_turns() -> None:
    with talking("joe") as talk:
        for channel in (1, 2, 3):
            talk.speak(channel, LONG)
        order = []
        ended = 0
        while ended < 3:
            header = talk.receive().header
            order.append(header["channel"])
            ended += header.get("last", False)
            talk.send(header["channel"], "more")
    assert order[:6] == [1, 2, 3, 1, 2, 3]


def test_a_cancelled_text_is_not_spoken_further() -> None:
    with talking("joe") as talk:
        talk.speak(1, LONG)
        talk.receive()
        talk.send(1, "more")
        talk.send(1, "cancel")
        talk.speak(2, "Yes.")
        talk.send(2, "more")
        channels = [talk.receive().header["channel"]]
        while channels[-1] != 2:
            channels.append(talk.receive().header["channel"])
        rest = [frame.header["channel"] for frame in talk.hang_up()]
    assert channels.count(1) <= 1, "the slice that was being made"
    assert 1 not in rest


def test_the_number_of_texts_is_bounded() -> None:
    with talking("joe") as talk:
        for channel in range(MOST_TEXTS + 1):
            talk.speak(channel, LONG)
        while "error" not in (header := talk.receive().header):
            pass
    assert header == {"channel": MOST_TEXTS, "error": f"more than {MOST_TEXTS} texts at once", "code": "engine_busy"}


def test_a_text_that_cannot_be_spoken_is_an_error_of_that_text() -> None:
    with talking("joe") as talk:
        talk.speak(1, "Hello.", speaker=7)
        assert "no speaker 7" in talk.receive().header["error"]
        talk.speak(2, "Hello.", model="amy")
        assert "amy" in talk.receive().header["error"]
        talk.speak(3, "Hello.")
        assert talk.receive().header["channel"] == 3


def test_a_voice_that_cannot_be_loaded_is_an_error() -> None:
    with talking() as talk:
        told = talk.load("joe", "amy")
        assert told == {"channel": 99, "error": "amy: ValueError: no such voice", "code": "bad_model"}
        assert talk.load("joe")["loaded"]


def test_a_voice_is_tried_with_each_of_its_speakers(tmp_path: Path) -> None:
    entry = {"model": str(MODEL), "sha256": None, "speakers": [None, 0]}
    assert load(entry).config.sample_rate == 22_050
    with pytest.raises(ValueError, match="no speaker 1"):
        load(entry | {"speakers": [1]})
    with pytest.raises(ValueError, match="SHA-256"):
        load(entry | {"sha256": "0" * 64})
    with pytest.raises(OSError, match="amy"):
        load(entry | {"model": str(tmp_path / "amy.onnx")})


def test_it_ends_with_its_input() -> None:
    out = io.BytesIO()
    PiperHelper(loaded, io.BytesIO(), out).run()
    assert out.getvalue() == b""
