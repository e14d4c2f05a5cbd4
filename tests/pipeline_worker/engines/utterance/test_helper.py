"""The helper's loop over real pipes, with a model that is a function of the test."""

import os
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_worker.engines.helper.frames import Frame, pack, read
from pipeline_worker.engines.utterance.helper import Recognize, UtteranceHelper
from pipeline_worker.engines.utterance.queue import MOST_UTTERANCES, Hypothesis

SECOND = np.full(16_000, 8_192, dtype="<i2").tobytes()


class Model:
    """Hears length and loudness. `hold` makes it wait for `go`; `began` is set when a pass begins."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.began = threading.Event()
        self.failure: Exception | None = None

    def load(self, header: dict[str, Any]) -> Recognize:
        if "bad" in header:
            raise ValueError("no such model")
        return self.recognize

    def recognize(self, samples: NDArray[np.float32], before: Hypothesis | None) -> Hypothesis:
        if not samples.any():  # the first pass, at its loading
            return Hypothesis("")
        self.began.set()
        assert self.go.wait(10)
        if self.failure is not None:
            raise self.failure
        return Hypothesis(f" {len(samples) / 16_000:g} s at {samples.max():.2f} ")


class Running:
    def __init__(self, model: Model) -> None:
        self.model = model
        requests, self._to_helper = _pipe()
        self._from_helper, out = _pipe()
        self._thread = threading.Thread(target=UtteranceHelper(model.load, requests, out).run)
        self._ends = [requests, out, self._from_helper]
        self._thread.start()

    def tell(self, channel: int, op: str, body: bytes = b"", **more: Any) -> None:
        self._to_helper.write(pack({"channel": channel, "op": op, **more}, body))

    def answer(self) -> dict[str, Any]:
        frame = read(self._from_helper)
        assert isinstance(frame, Frame)
        return frame.header

    def load(self, interim_s: float = 0.5) -> None:
        self.tell(99, "load", interim_s=interim_s)
        assert self.answer() == {"channel": 99, "loaded": True}

    def end(self) -> None:
        self.model.go.set()
        self._to_helper.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        for end in self._ends:
            end.close()


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    read_end, write_end = os.pipe()
    return os.fdopen(read_end, "rb"), os.fdopen(write_end, "wb", buffering=0)


@pytest.fixture
def helper() -> Iterator[Running]:
    running = Running(Model())
    yield running
    running.end()


def test_utterances_are_recognised(helper: Running) -> None:
    helper.load(interim_s=0)
    for channel in (1, 2):
        helper.tell(channel, "open")
        helper.tell(channel, "push", SECOND * channel)
        helper.tell(channel, "finish")
    assert helper.answer() == {"channel": 1, "text": "1 s at 0.25", "last": True}
    assert helper.answer() == {"channel": 2, "text": "2 s at 0.25", "last": True}


def test_interim_texts_come_by_themselves(helper: Running) -> None:
    helper.load()
    helper.tell(1, "open")
    helper.tell(1, "push", SECOND)
    assert helper.answer() == {"channel": 1, "text": "1 s at 0.25"}
    helper.tell(1, "push", SECOND)
    assert helper.answer() == {"channel": 1, "text": "2 s at 0.25"}


def test_speech_is_read_while_the_model_works(helper: Running) -> None:
    helper.load(interim_s=0)
    helper.model.go.clear()
    helper.tell(1, "open")
    helper.tell(1, "push", SECOND)
    helper.tell(1, "finish")
    assert helper.model.began.wait(10)
    helper.tell(2, "open")
    for _ in range(60):  # far more than a pipe holds
        helper.tell(2, "push", SECOND)
    helper.tell(2, "finish")
    helper.model.go.set()
    assert helper.answer()["channel"] == 1
    seconds = [float(part) for part in helper.answer()["text"].replace(" s at 0.25", "").split()]
    assert sum(seconds) == pytest.approx(60)


def test_silence_has_no_text(helper: Running) -> None:
    helper.load()
    helper.tell(1, "open")
    helper.tell(1, "finish")
    assert helper.answer() == {"channel": 1, "text": "", "last": True}


def test_a_model_that_fails_once_serves_the_next(helper: Running) -> None:
    helper.load(interim_s=0)
    helper.model.failure = RuntimeError("out of memory")
    helper.tell(1, "open")
    helper.tell(1, "push", SECOND)
    helper.tell(1, "finish")
    assert helper.answer() == {"channel": 1, "error": "RuntimeError: out of memory", "last": True}
    helper.model.failure = None
    helper.tell(2, "open")
    helper.tell(2, "push", SECOND)
    helper.tell(2, "finish")
    assert helper.answer()["text"] == "1 s at 0.25"


def test_a_model_that_cannot_be_loaded_is_an_error(helper: Running) -> None:
    helper.tell(9, "load", interim_s=0, bad=True)
    assert helper.answer() == {"channel": 9, "error": "ValueError: no such model", "code": "bad_model"}


def test_too_many_utterances_are_refused(helper: Running) -> None:
    helper.load(interim_s=0)
    for channel in range(MOST_UTTERANCES + 1):
        helper.tell(channel, "open")
    assert helper.answer()["code"] == "engine_busy"


def test_a_cancelled_utterance_gets_no_answer(helper: Running) -> None:
    helper.load()
    helper.tell(1, "open")
    helper.tell(1, "cancel")
    helper.tell(1, "push", SECOND)
    helper.tell(2, "open")
    helper.tell(2, "push", SECOND)
    helper.tell(2, "finish")
    while "last" not in (answer := helper.answer()):
        assert answer["channel"] == 2
    assert answer["channel"] == 2
