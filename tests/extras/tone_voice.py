"""A Piper voice that hums: a real ONNX model with Piper's inputs and outputs, every phoneme equally long.

No voice can be part of this repository, and tests fetch none. Its phonemes are those that the package makes of English.
"""

import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

SAMPLE_RATE = 22_050
FRAMES_PER_PHONEME_ID = 4
HOP = 256
_RADIANS_PER_SAMPLE = 0.06


def write_tone_voice(path: Path) -> None:
    """`path`, and `path` with .json beside it."""
    constants: dict[str, tuple[list[int], list[float]]] = {
        "no_dims": ([], [0.0]),
        "frames": ([], [float(FRAMES_PER_PHONEME_ID)]),
        "hop": ([], [float(HOP)]),
        "step": ([], [_RADIANS_PER_SAMPLE]),
        "one": ([], [1.0]),
    }
    initializers = [helper.make_tensor(name, TensorProto.FLOAT, *value) for name, value in constants.items()]
    initializers += [
        helper.make_tensor("second", TensorProto.INT64, [], [1]),
        helper.make_tensor("batch", TensorProto.INT64, [2], [0, 1]),
    ]
    nodes = [
        helper.make_node("Cast", ["input"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "no_dims"], ["zeros"]),
        helper.make_node("Gather", ["scales", "second"], ["length_scale"]),
        helper.make_node("Mul", ["length_scale", "frames"], ["width"]),
        helper.make_node("Add", ["zeros", "width"], ["widths"]),
        helper.make_node("Ceil", ["widths"], ["w_ceil"]),
        helper.make_node("ReduceSum", ["w_ceil"], ["frames_in_all"], keepdims=0),
        helper.make_node("Mul", ["frames_in_all", "hop"], ["samples"]),
        helper.make_node("Range", ["no_dims", "samples", "one"], ["at"]),
        helper.make_node("Mul", ["at", "step"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["wave"]),
        helper.make_node("Unsqueeze", ["wave", "batch"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tone",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, "ids"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    settings = {
        "num_symbols": 256,
        "num_speakers": 1,
        "audio": {"sample_rate": SAMPLE_RATE},
        "espeak": {"voice": "en-us"},
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "hop_length": HOP,
    }
    Path(f"{path}.json").write_text(json.dumps(settings), encoding="utf-8")
