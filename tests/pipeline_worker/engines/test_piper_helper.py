"""The helper's side, on a stand-in for the package piper."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pipeline_worker.engines.pipe_frames import Frame, read
from pipeline_worker.engines.piper_helper import Speaker, load_voice, word_ends
from tests.fakes.stand_in_packages import stand_in_packages

SPEAK = {"channel": 1, "op": "speak", "voice": "amy", "speaker": None, "length_scale": 1.0}


class Alignment(NamedTuple):
    phoneme: str
    num_samples: int


@pytest.mark.parametrize(
    ("phonemes", "ends"),
    [("^ab cd$", [40, 70]), ("^ab, cd.$", [50, 90]), ("^- ab  - cd $", [90, 130]), ("^$", []), ("", [])],
)
def test_a_word_ends_with_the_pause_after_it(phonemes: str, ends: list[int]) -> None:
    assert word_ends([Alignment(phoneme, 10) for phoneme in phonemes], 0) == ends


def test_words_of_a_later_sentence_count_from_the_text_s_beginning() -> None:
    assert word_ends([Alignment("a", 10), Alignment("$", 5)], 500) == [515]


class Chunk(NamedTuple):
    audio_int16_array: Any
    phoneme_alignments: Any
    sample_rate: int = 22_050


def answers(out: io.BytesIO) -> list[Frame]:
    out.seek(0)
    frames = []
    while frame := read(out):
        frames.append(frame)
    return frames


def test_a_text_that_was_cancelled_stops_after_the_sentence() -> None:
    out = io.BytesIO()

    def load(path: str) -> Any:
        def speak(text: str, speaker: int | None, length_scale: float) -> Any:
            yield Chunk(np.ones(10, np.int16), None)
            speaker_.cancel(1)
            yield Chunk(np.ones(10, np.int16), None)

        return speak

    speaker_ = Speaker(load, out)
    for frame in (Frame({"channel": 2, "op": "load", "voices": ["amy"]}, b""), Frame(SPEAK, b"Hello.")):
        speaker_.want(frame.header["channel"])
        speaker_.answer(frame)
    assert [frame.header for frame in answers(out)] == [
        {"loaded": True, "channel": 2},
        {"sample_rate": 22_050, "word_ends": [], "channel": 1},
    ]


def test_a_text_that_nobody_wants_any_more_is_not_begun() -> None:
    out = io.BytesIO()
    speaker = Speaker(lambda path: lambda *_: pytest.fail("it speaks"), out)
    speaker.answer(Frame(SPEAK, b"Hello."))
    assert answers(out) == []


def test_the_package_is_asked_for_alignments(tmp_path: Path) -> None:
    (tmp_path / "amy.onnx").write_bytes(b"a voice")
    (tmp_path / "amy.onnx.json").write_text('{"audio": {"sample_rate": 16000}}', encoding="utf-8")
    with stand_in_packages():
        [chunk] = load_voice(str(tmp_path / "amy.onnx"))("a b", 2, 2.0)
    assert chunk.sample_rate == 16_000
    assert chunk.audio_int16_array[0] == 3_000
    assert word_ends(chunk.phoneme_alignments, 0) == [600, 1_000]
