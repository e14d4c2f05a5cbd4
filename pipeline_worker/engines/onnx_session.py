"""The door to onnxruntime: one thread, no spinning, no word to its maker."""

import os
from typing import Any

# Its wheel reports to its maker unless told otherwise before it is loaded; Antiphon calls nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime


def open_session(model: str | bytes) -> Any:
    """`model`: a path, or the model itself."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # It would keep a plan for each shape of input that it ever met, and every sentence has another length.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Numbers next to zero, as silence makes them, take a processor far longer than others.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
