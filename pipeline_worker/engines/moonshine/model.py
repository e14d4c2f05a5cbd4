"""A Moonshine model in ONNX form, decoded greedily (Jeffries et al., "Moonshine", arXiv 2410.15608).

The tokens of an utterance's beginning are a draft for the next pass: one run of the decoder checks all of them, and
they are kept up to the first that it would not have chosen. Apart from rounding, the result is that of decoding token
by token, at half of the cost or less.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.moonshine.files import DECODER, ENCODER, TOKENIZER
from pipeline_worker.engines.onnx_session import open_session

_BEGIN, _END = 1, 2
_SHORTEST_SAMPLES = 1_600
_TOKENS_MORE = 4
_LOOP_TIMES = 5
_LOOP_TOKENS = 12
"""A sequence of up to this many tokens, repeated `_LOOP_TIMES` times, means that the model is stuck in a loop."""

_Floats = NDArray[np.float32]


class Heard(NamedTuple):
    tokens: tuple[int, ...]
    certainty: float
    """Mean log probability of the tokens, including the end token."""


class MoonshineModel:
    def __init__(self, folder: Path, tokens_per_s: float) -> None:
        """Loads the three files of `folder`. `tokens_per_s`: upper limit of tokens in speech."""
        self._tokens_per_s = tokens_per_s
        self._encoder = open_session(str(folder / ENCODER))
        self._decoder = open_session(str(folder / DECODER))
        self._pieces = read_pieces((folder / TOKENIZER).read_bytes())
        inputs = {one.name: one.shape for one in self._decoder.get_inputs()}
        self._nothing_past: dict[str, _Floats] = {
            name: np.zeros((1, shape[1], 0, shape[3]), np.float32)
            for name, shape in inputs.items()
            if name.startswith("past_key_values.")
        }

    def hear(self, samples: _Floats, draft: tuple[int, ...] = ()) -> Heard:
        """`samples`: 16 kHz, mono, -1 to 1; half a minute at most."""
        padded = np.pad(samples, (0, max(0, _SHORTEST_SAMPLES - len(samples))))[None]
        mask = np.ones(padded.shape, np.int64)
        [encoded] = self._encoder.run(None, {"input_values": padded, "attention_mask": mask})
        given = {"encoder_hidden_states": encoded, "encoder_attention_mask": mask}
        most = int(len(samples) / 16_000 * self._tokens_per_s) + _TOKENS_MORE
        draft = draft[:most]
        rows, past = self._run((_BEGIN, *draft), given, self._nothing_past, first=True)
        chosen = rows.argmax(axis=-1).tolist()
        kept = next((at for at, token in enumerate(draft) if chosen[at] != token), len(draft))
        tokens = [*draft[:kept], chosen[kept]]
        certainty = [_log_probability(row) for row in rows[: kept + 1]]
        past = {name: value[:, :, : kept + 1] if ".decoder." in name else value for name, value in past.items()}
        while tokens[-1] != _END and len(tokens) < most and not _loops(tokens):
            rows, present = self._run((tokens[-1],), given, past, first=False)
            past |= {name: value for name, value in present.items() if ".decoder." in name}
            tokens.append(int(rows[0].argmax()))
            certainty.append(_log_probability(rows[0]))
        return Heard(tuple(token for token in tokens if token != _END), float(np.mean(certainty)))

    def text(self, tokens: tuple[int, ...]) -> str:
        words = b"".join(self._pieces[token] for token in tokens if token > _END)
        return words.decode(errors="replace").replace("▁", " ").strip()

    def _run(
        self, tokens: tuple[int, ...], given: dict[str, Any], past: dict[str, _Floats], *, first: bool
    ) -> tuple[_Floats, dict[str, _Floats]]:
        """The decoder's logits after each token, and its cache."""
        inputs = {"input_ids": np.array([tokens], np.int64), "use_cache_branch": np.array([not first]), **given, **past}
        logits, *present = self._decoder.run(None, inputs)
        return logits[0], dict(zip(past, present, strict=True))


def read_pieces(encoded: bytes) -> list[bytes]:
    """Each piece has a length and its bytes; a length above 127 takes two bytes, the lower seven bits first."""
    pieces: list[bytes] = []
    at = 0
    while at < len(encoded):
        length = encoded[at]
        at += 1
        if length > 127:
            length += 128 * (encoded[at] - 1)
            at += 1
        pieces.append(encoded[at : at + length])
        at += length
    return pieces


def _log_probability(logits: _Floats) -> float:
    """Log probability of the likeliest token."""
    return -float(np.log(np.exp(logits - logits.max()).sum()))


def _loops(tokens: list[int]) -> bool:
    """Whether `tokens` ends in a repeated sequence."""
    return any(
        tokens[-length * _LOOP_TIMES :] == tokens[-length:] * _LOOP_TIMES for length in range(1, _LOOP_TOKENS + 1)
    )
