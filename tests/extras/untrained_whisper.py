"""A Whisper model that was never trained, in the shape of `tiny.en`: it runs, but its texts are nonsense.

No model of speech can be part of this repository, and tests fetch none.
"""

from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from tokenizers import Tokenizer, decoders, models

_WIDTH, _FEED_FORWARD, _HEADS, _LAYERS = 384, 1536, 6, 4
_AUDIO_POSITIONS, _TEXT_POSITIONS, _MELS = 1500, 448, 80
_WORDS = 1000
_SENTENCE = 14
_SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
_SPECIAL += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def write_untrained_whisper(folder: Path) -> None:
    """Write a model's folder for faster-whisper."""
    vocabulary = [f"word{number}" for number in range(_WORDS)] + _SPECIAL
    vocabulary += [f"<|{number * 0.02:.2f}|>" for number in range(1501)]
    spec = WhisperSpec(_LAYERS, _HEADS, _LAYERS, _HEADS)
    _fill(spec, len(vocabulary))
    # English only: a model is multilingual when its vocabulary has 51,865 entries and more.
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [vocabulary.index("<|en|>")]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokens = Tokenizer(models.WordLevel({token: number for number, token in enumerate(vocabulary)}, unk_token="word0"))
    tokens.add_special_tokens(_SPECIAL)
    tokens.decoder = decoders.WordPiece()
    tokens.save(str(folder / "tokenizer.json"))


def _fill(spec: Any, vocabulary_size: int) -> None:
    chance = np.random.default_rng(1)

    def random(*shape: int) -> Any:
        return chance.normal(0, 0.02, shape).astype(np.float32)

    def linear(layer: Any, out: int, into: int) -> None:
        layer.weight, layer.bias = random(out, into), random(out)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(_WIDTH, np.float32), np.zeros(_WIDTH, np.float32)

    def attention(layer: Any, projections: tuple[int, ...]) -> None:
        norm(layer.layer_norm)
        for part, out in zip(layer.linear, projections, strict=True):
            linear(part, out, _WIDTH)

    def block(layer: Any) -> None:
        attention(layer.self_attention, (3 * _WIDTH, _WIDTH))
        if hasattr(layer, "attention"):
            attention(layer.attention, (_WIDTH, 2 * _WIDTH, _WIDTH))
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, _FEED_FORWARD, _WIDTH)
        linear(layer.ffn.linear_1, _WIDTH, _FEED_FORWARD)

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = random(_WIDTH, _MELS, 3), random(_WIDTH)
    encoder.conv2.weight, encoder.conv2.bias = random(_WIDTH, _WIDTH, 3), random(_WIDTH)
    encoder.position_encodings.encodings = random(_AUDIO_POSITIONS, _WIDTH)
    decoder.position_encodings.encodings = random(_TEXT_POSITIONS, _WIDTH)
    decoder.embeddings.weight = random(vocabulary_size, _WIDTH)
    decoder.projection.weight = decoder.embeddings.weight.copy()
    # Only words are allowed, and the end after as many as a sentence has.
    decoder.projection.bias = np.where(np.arange(vocabulary_size) < _WORDS, 5, -5).astype(np.float32)
    end = np.zeros(_WIDTH, np.float32)
    end[0] = 1
    decoder.projection.weight[_WORDS] = end
    decoder.position_encodings.encodings[_SENTENCE:] += 50 * end
    norm(encoder.layer_norm)
    norm(decoder.layer_norm)
    for layer in (*encoder.layer, *decoder.layer):
        block(layer)
