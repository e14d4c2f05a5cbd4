"""Silero VAD v5 (16 kHz) as products of matrices over a whole batch, with the weights of the package's model.

onnxruntime convolves the chunks of a batch one after another, and each has only four frames of spectrum: a chunk then
costs 50 µs. The same sums as one product for all of them cost 17 µs. They differ by rounding.

The layers: magnitudes of a short-time Fourier transform (512 samples are four frames), four convolutions over time, an
LSTM (Hochreiter and Schmidhuber, 1997), and a sigmoid.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline_worker.engines.onnx_session import open_session

CHUNK_SAMPLES = 512
CONTEXT_SAMPLES = 64
"""Of the chunk before, in front of each chunk."""
STATE = 128
_INPUT = CONTEXT_SAMPLES + CHUNK_SAMPLES
_FRAMES, _WINDOW, _HOP, _BINS = 4, 256, 128, 129

_Floats = NDArray[np.float32]


def open_model(path: Path) -> Any:
    """An onnxruntime session. Inputs: `input` (batch, 576), samples from -1 to 1, and `state` (2, batch, 128). Outputs:
    the probability of speech (batch, 1), and the next state. Raises whatever `onnx` raises for another file.
    """
    return open_session(_batched(_weights(onnx.load(str(path)))).SerializeToString())


def _weights(model: onnx.ModelProto) -> dict[str, _Floats]:
    """Of the branch for 16 kHz, by the names of the training code."""
    (switch,) = (node for node in model.graph.node if node.op_type == "If")
    branch = next(attribute.g for attribute in switch.attribute if attribute.name == "then_branch")
    constants = (node for node in branch.node if node.op_type == "Constant" and node.attribute[0].HasField("t"))
    return {node.output[0].split("__")[-1]: numpy_helper.to_array(node.attribute[0].t) for node in constants}


class _Graph:
    """Nodes are added in order; each has one output, or as many as `outputs`."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        to = to or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [to], **attributes))
        return to

    def rows(self, of: str, first: int, end: int, axis: int) -> str:
        """A part of a tensor."""
        limits = (self.constant(np.array([value])) for value in (first, end, axis))
        return self.add("Slice", of, *limits)

    def reshaped(self, tensor: str, *shape: int) -> str:
        return self.add("Reshape", tensor, self.constant(np.array(shape)))

    def product(self, tensor: str, weight: _Floats, bias: _Floats) -> str:
        return self.add("Add", self.add("MatMul", tensor, self.constant(weight)), self.constant(bias))

    def model(self) -> onnx.ModelProto:
        inputs = [_described("input", "batch", _INPUT), _described("state", 2, "batch", STATE)]
        outputs = [_described("output", "batch", 1), _described("next_state", 2, "batch", STATE)]
        graph = helper.make_graph(self._nodes, "silero_vad", inputs, outputs, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _described(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _batched(weights: dict[str, _Floats]) -> onnx.ModelProto:
    graph = _Graph()
    frames = graph.add("Gather", "input", graph.constant(_frame_positions()), axis=1)
    spectrum = graph.add("MatMul", frames, graph.constant(weights["stft.forward_basis_buffer"][:, 0].T))
    power = [graph.rows(spectrum, part * _BINS, (part + 1) * _BINS, axis=2) for part in (0, 1)]
    sound = graph.add("Sqrt", graph.add("Add", *(graph.add("Mul", part, part) for part in power)))

    def convolve(layer: int, tensor: str, taps: Sequence[int]) -> str:
        """`tensor` has the frames of each tap side by side."""
        weight = weights[f"encoder.{layer}.reparam_conv.weight"]
        matrix = np.concatenate([weight[:, :, tap].T for tap in taps])
        return graph.add("Relu", graph.product(tensor, matrix, weights[f"encoder.{layer}.reparam_conv.bias"]))

    def padded(tensor: str, before: int, after: int) -> str:
        return graph.add("Pad", tensor, graph.constant(np.array([0, before, 0, 0, after, 0])))

    # Kernels of three frames, with a frame of silence on both sides. Of the two layers that halve the frames, the first
    # never sees the frame after, the second has frames for its last two taps; for the last layer one frame is left.
    around = padded(sound, 1, 1)
    sound = convolve(
        0, graph.add("Concat", *(graph.rows(around, tap, tap + _FRAMES, 1) for tap in range(3)), axis=2), (0, 1, 2)
    )
    around = padded(sound, 1, 0)
    halves = [graph.reshaped(graph.rows(around, first, first + 3, 1), -1, 1, 3 * 128) for first in (0, 2)]
    sound = convolve(1, graph.add("Concat", *halves, axis=1), (0, 1, 2))
    sound = convolve(2, graph.reshaped(sound, -1, 2 * 64), (1, 2))
    sound = convolve(3, sound, (1,))

    hidden, cell = (graph.reshaped(graph.rows("state", part, part + 1, 0), -1, STATE) for part in (0, 1))
    matrix = np.concatenate([weights["decoder.rnn.weight_ih"].T, weights["decoder.rnn.weight_hh"].T])
    bias = weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]
    gates = graph.product(graph.add("Concat", sound, hidden, axis=1), matrix, bias)
    # PyTorch's order: input, forget, cell, output.
    enter, keep, new, show = (
        graph.add("Tanh" if gate == 2 else "Sigmoid", graph.rows(gates, gate * STATE, (gate + 1) * STATE, 1))
        for gate in range(4)
    )
    cell = graph.add("Add", graph.add("Mul", keep, cell), graph.add("Mul", enter, new))
    hidden = graph.add("Mul", show, graph.add("Tanh", cell))
    graph.add("Concat", *(graph.reshaped(part, 1, -1, STATE) for part in (hidden, cell)), to="next_state", axis=0)

    weight, bias = weights["decoder.decoder.2.weight"], weights["decoder.decoder.2.bias"]
    graph.add("Sigmoid", graph.product(graph.add("Relu", hidden), weight[:, :, 0].T, bias), to="output")
    return graph.model()


def _frame_positions() -> NDArray[np.int64]:
    """Which sample is where in the four windows. Beyond the last sample they are mirrored."""
    positions = np.arange(_FRAMES)[:, None] * _HOP + np.arange(_WINDOW)
    return np.where(positions < _INPUT, positions, 2 * (_INPUT - 1) - positions)
