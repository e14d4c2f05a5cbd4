"""A model in the shape of a Piper voice with several speakers: two frames for each phoneme id, four samples a frame.

Each sample depends on ten frames around its own, as much as HiFi-GAN's do.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HOP = 4
SPEAKERS = 3
_REACH = 10


def write_small_vits(path: Path, decoder: str = "/dec/") -> None:
    """`decoder`: what the names of its second half begin with."""
    random = np.random.default_rng(1)

    def node(kind: str, inputs: list[str], output: str, name: str = "/encoder", **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [output], name=f"{name}/{output}", **attributes)

    weights: dict[str, Any] = {
        "ten": np.array([0.1], np.float32),
        "two": np.array([1.5], np.float32),
        "one": np.array([1], np.int64),
        "pairs": np.array([1, 1, 2], np.int64),
        "row": np.array([1, 1, -1], np.int64),
        "single": np.array([1, 1, 1], np.int64),
        "speakers": random.normal(size=(SPEAKERS, 1)).astype(np.float32),
        "before": random.normal(size=(1, 1, 2 * _REACH + 1)).astype(np.float32) / 10,
        "condition": np.ones((1, 1, 1), np.float32),
        "up": random.normal(size=(1, 1, HOP)).astype(np.float32),
    }
    nodes = [
        node("Cast", ["input"], "ids", to=TensorProto.FLOAT),
        node("Mul", ["ids", "ten"], "x"),
        node("Gather", ["scales", "one"], "length_scale"),
        node("Mul", ["length_scale", "two"], "width"),
        node("Sub", ["ids", "ids"], "zeros"),
        node("Add", ["zeros", "width"], "widths"),
        node("Ceil", ["widths"], "w_ceil"),
        node("Unsqueeze", ["x", "one"], "x_row"),
        node("Transpose", ["x_row"], "x_column", perm=[0, 2, 1]),
        node("Expand", ["x_column", "pairs"], "x_pairs"),
        node("Reshape", ["x_pairs", "row"], "z"),
        node("Gather", ["speakers", "sid"], "speaker"),
        node("Reshape", ["speaker", "single"], "g"),
        node("Conv", ["z", "before"], "conv_pre", decoder, pads=[_REACH, _REACH]),
        node("Conv", ["g", "condition"], "cond", decoder),
        node("Add", ["conv_pre", "cond"], "sum", decoder),
        node("ConvTranspose", ["sum", "up"], "ups", decoder, strides=[HOP]),
        node("Tanh", ["ups"], "output", decoder),
    ]
    inputs: dict[str, tuple[int, list[Any]]] = {
        "input": (TensorProto.INT64, [1, "ids"]),
        "input_lengths": (TensorProto.INT64, [1]),
    }
    inputs |= {"scales": (TensorProto.FLOAT, [3]), "sid": (TensorProto.INT64, [1])}
    graph = helper.make_graph(
        nodes,
        "vits",
        [helper.make_tensor_value_info(name, *shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
