"""The helper with a stand-in for the package."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_worker.engines.faster_whisper.helper import load
from pipeline_worker.engines.faster_whisper.speech_to_text import FasterWhisperOptions
from tests.fakes.stand_in_packages import stand_in_packages


def test_segments_become_one_text(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"a model")
    with stand_in_packages():
        recognise = load(FasterWhisperOptions(model=str(tmp_path)).model_settings("en"))
        assert recognise(np.full(24_000, 0.5, dtype=np.float32), None).text == "1.5 seconds of en at 0.5"


def test_a_bad_model_raises(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    with stand_in_packages(), pytest.raises(RuntimeError):
        load(FasterWhisperOptions(model=str(tmp_path)).model_settings("en"))
