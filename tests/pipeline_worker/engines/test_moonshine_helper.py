"""How the package is used, on its stand-in."""

from pathlib import Path

import numpy as np

from pipeline_worker.engines.moonshine_helper import load
from tests.fakes.stand_in_packages import stand_in_packages

QUIET = np.zeros(4_000, dtype=np.float32)


def test_lines_become_one_text_and_short_sounds_half_a_second(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.bin").write_bytes(b"a model")
    with stand_in_packages():
        recognise = load({"model": str(tmp_path), "architecture": "tiny-streaming", "language": "en"})
        assert recognise(QUIET) == f"0.5 seconds by {tmp_path.name} TINY_STREAMING"
        assert recognise(np.zeros(32_000, dtype=np.float32)).startswith("2.0 seconds")


def test_without_a_folder_the_library_fetches_the_language_s_model() -> None:
    with stand_in_packages():
        recognise = load({"model": None, "architecture": "base", "language": "es"})
        assert recognise(QUIET) == "0.5 seconds by es TINY"
