import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline_worker.engines.onnx_session import open_session
from tests.fakes.small_vits import write_small_vits

INPUTS = {
    "input": np.array([[1, 2, 3]]),
    "input_lengths": np.array([3]),
    "scales": np.ones(3, np.float32),
    "sid": np.array([0]),
}


def test_a_model_is_a_file_or_its_bytes(tmp_path: Path) -> None:
    write_small_vits(tmp_path / "small.onnx")
    for model in (str(tmp_path / "small.onnx"), (tmp_path / "small.onnx").read_bytes()):
        [samples] = open_session(model).run(None, INPUTS)
        assert samples.shape == (1, 1, 24)


def test_data_that_is_not_a_model_is_an_error() -> None:
    with pytest.raises(Exception, match="protobuf"):
        open_session(b"not a model")


def test_the_runtime_sends_no_telemetry(tmp_path: Path) -> None:
    write_small_vits(tmp_path / "small.onnx")
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import os, sys\nfrom pipeline_worker.engines.onnx_session import open_session\n"
        "open_session(sys.argv[1]); print(os.environ)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "small.onnx")],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "'ORT_DISABLE_TELEMETRY': '1'" in ran.stdout, ran.stderr
    assert list(home.iterdir()) == [], "a device id or a session file was written"
