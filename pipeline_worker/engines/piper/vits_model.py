"""The model of a Piper voice (VITS), cut in two, so that a sentence can be played before it is complete.

The first half turns phonemes into frames of latents, and gives the duration of each phoneme. The second half, HiFi-GAN,
turns frames into sound. It consists of convolutions, so a sample depends only on nearby frames: with ten frames of
context on each side, a slice equals the same part of the whole to -120 dB; with eight, to -64 dB.

Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech, arXiv:2106.06103.
HiFi-GAN, arXiv:2010.05646.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.utils import Extractor

from pipeline_worker.engines.onnx_session import open_session

_CONTEXT_FRAMES = 10
_DECODER = "/dec/"
"""Prefix of the names of HiFi-GAN's nodes, from an attribute of the training code."""

Floats = NDArray[np.float32]


class Latents(NamedTuple):
    """A sentence between the two halves. `tensors` cross the cut, by name."""

    tensors: Mapping[str, Floats]
    frames: int
    frames_of_id: Sequence[float]
    """Duration of each phoneme id."""


class VitsModel:
    """Raises whatever `onnx` and onnxruntime raise for a file that is not a VITS model."""

    def __init__(self, path: Path, hop: int) -> None:
        """`hop`: samples per frame."""
        self.hop = hop
        model = onnx.load(str(path))
        self._inputs = [entry.name for entry in model.graph.input]
        output = model.graph.output[0].name
        self._cut = _cut(model)
        self._durations = [name for node in model.graph.node if node.op_type == "Ceil" for name in node.output]
        # The extractor needs the types of these tensors.
        model.graph.value_info.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in self._cut + self._durations
        )
        extractor = Extractor(model)
        halves = [extractor.extract_model(self._inputs, (self._cut or [output]) + self._durations).SerializeToString()]
        if self._cut:
            halves.append(extractor.extract_model(self._cut, [output]).SerializeToString())
        del model, extractor  # Each holds all the weights.
        self._encoder = open_session(halves.pop(0))
        self._decoder = open_session(halves.pop(0)) if halves else None

    def encode(self, ids: Sequence[int], scales: Sequence[float], speaker: int) -> Latents:
        """`scales`: noise, length, and noise of the durations."""
        given = {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array(scales, dtype=np.float32),
            "sid": np.array([speaker], dtype=np.int64),
        }
        made = self._encoder.run(None, {name: given[name] for name in self._inputs})
        tensors = dict(zip(self._cut or ["samples"], made, strict=False))
        durations = made[-1].reshape(-1) if len(self._durations) == 1 else np.zeros(0)
        if self._decoder is None:
            frames = -(-tensors["samples"].shape[-1] // self.hop)
        else:
            frames = max(tensor.shape[-1] for tensor in tensors.values())
        if len(durations) != len(ids):
            durations = np.full(len(ids), frames / len(ids))
        return Latents(tensors, frames, [float(frames) for frames in durations])

    def decode(self, latents: Latents, first: int, end: int) -> Floats:
        """The samples of frames `first` to `end`, from -1 to 1."""
        if self._decoder is None:  # a model that cannot be cut has made all samples already
            whole: Floats = latents.tensors["samples"].reshape(-1)
            return whole[first * self.hop : end * self.hop]
        begin, until = max(0, first - _CONTEXT_FRAMES), min(latents.frames, end + _CONTEXT_FRAMES)
        # A tensor without frames is the speaker.
        slices = {
            name: tensor[..., begin:until] if tensor.shape[-1] == latents.frames else tensor
            for name, tensor in latents.tensors.items()
        }
        samples: Floats = self._decoder.run(None, slices)[0].reshape(-1)
        return samples[(first - begin) * self.hop : (end - begin) * self.hop]


def _cut(model: Any) -> list[str]:
    """The tensors that cross into the decoder."""
    makers = {name: node.name for node in model.graph.node for name in node.output}
    crossing = {
        name
        for node in model.graph.node
        if node.name.startswith(_DECODER)
        for name in node.input
        if not makers.get(name, _DECODER).startswith(_DECODER)
    }
    return sorted(crossing)
