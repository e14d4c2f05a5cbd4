"""Opens onnxruntime sessions: one thread, no spinning, no telemetry."""

import os
from typing import Any

# The wheel sends telemetry unless this is set before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

_process_options = {"session.set_denormal_as_zero": "0"}


def flush_denormals() -> None:
    """Takes denormal numbers, which silence produces and which are far slower to compute, for zero.

    For helper processes only, before their first session: it holds for everything that the thread computes.
    """
    _process_options["session.set_denormal_as_zero"] = "1"


def open_session(model: str | bytes) -> Any:
    """`model`: a path, or the bytes of the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Otherwise it keeps a plan for every input shape, and sentences differ in length.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in _process_options.items():
        options.add_session_config_entry(name, value)
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
