"""A Piper voice: the package piper converts text to phonemes, and `VitsModel` runs the model.

For the helper process only, because the package is GPL-3. Piper normalizes each sentence, which needs the whole
sentence; here a voice has one gain, measured once.
"""

import hashlib
import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_worker.engines.piper.vits_model import Latents, VitsModel

_PROBE = "Okay, great! What can I do for you?"
"""A sentence of average loudness."""
_PROBE_PEAK = 0.8


class Voice:
    """Raises `ValueError`, or whatever the libraries raise for a file that is not a voice."""

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        """`sha256`: of the model, if it must be a certain file."""
        # Imported after `onnx_session`, because piper loads onnxruntime too.
        from piper import PiperVoice
        from piper.config import PiperConfig

        if sha256 is not None:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise ValueError("its SHA-256 is not that of the published voice")
        self.config: Any = PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_text(encoding="utf-8")))
        self._piper: Any = PiperVoice(session=None, config=self.config)
        self.model = VitsModel(path, self.config.hop_length)
        self._gains: dict[int, float] = {}

    def speaker_number(self, speaker: int | None) -> int:
        number: int = self.config.default_speaker_id if speaker is None else speaker
        speakers = max(1, self.config.num_speakers)
        if number >= speakers:
            raise ValueError(f"it has no speaker {number}: of {speakers}, the first is 0")
        return number

    def gain(self, speaker: int) -> float:
        """Brings the voice to a good level; short peaks may still exceed full scale."""
        if speaker not in self._gains:
            self._gains[speaker] = self._measured_gain(speaker)
        return self._gains[speaker]

    def phonemes(self, text: str) -> list[str]:
        """Joins all sentences: Piper splits some texts where we do not."""
        phonemes: list[str] = []
        for sentence in self._piper.phonemize(text):
            phonemes += [" ", *sentence] if phonemes else sentence
        return phonemes

    def encode(self, phonemes: list[str], speaker: int, length_scale: float, noise: float = 1.0) -> Latents:
        config = self.config
        scales = (config.noise_scale * noise, config.length_scale * length_scale, config.noise_w_scale * noise)
        return self.model.encode(self._piper.phonemes_to_ids(phonemes), scales, speaker)

    def frames_passed(self, phonemes: list[str], latents: Latents) -> list[float]:
        """Frames passed after 0, 1, 2, ... phonemes."""
        from piper.const import BOS, EOS, PAD

        ids, pad = self.config.phoneme_id_map, len(self.config.phoneme_id_map[PAD])
        counts = [len(ids[BOS]) + pad, *(len(ids[one]) + pad if one in ids else 0 for one in phonemes)]
        if sum(counts) + len(ids[EOS]) != len(latents.frames_of_id):  # Mandarin has its own ids
            return [latents.frames * number / max(1, len(phonemes)) for number in range(len(phonemes) + 1)]
        passed = [0.0, *accumulate(latents.frames_of_id)]
        return [passed[number] for number in accumulate(counts)]

    def _measured_gain(self, speaker: int) -> float:
        latents = self.encode(self.phonemes(_PROBE), speaker, 1.0, noise=0.0)
        peak = float(np.abs(self.model.decode(latents, 0, latents.frames)).max(initial=0.0))
        if not peak > 0:
            raise ValueError("it is silent")
        return _PROBE_PEAK / peak
