"""A Piper voice: the package piper puts text into phonemes, and its model is run by us.

For the helper process only, because the package is GPL-3. Piper brings each sentence to full scale, for which it needs
the whole of it: here a voice has one gain, measured once.
"""

import hashlib
import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_worker.engines.piper.vits_model import Latents, VitsModel

_PROBE = "Okay, great! What can I do for you?"
"""Neither loud nor quiet, as sentences go."""
_PROBE_PEAK = 0.8


class Voice:
    """Raises whatever the libraries raise of a file that is no voice, and `ValueError`."""

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        """`sha256`: what the model must be, if that is known."""
        # Here, after our own door to onnxruntime, which piper loads too.
        from piper import PiperVoice
        from piper.config import PiperConfig

        if sha256 is not None:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise ValueError("its SHA-256 is not the one of the published voice")
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
        """What brings it to a good level; short peaks may still leave full scale."""
        if speaker not in self._gains:
            self._gains[speaker] = self._measured_gain(speaker)
        return self._gains[speaker]

    def phonemes(self, text: str) -> list[str]:
        """Of all its sentences in a row: Piper sees some where we do not."""
        phonemes: list[str] = []
        for sentence in self._piper.phonemize(text):
            phonemes += [" ", *sentence] if phonemes else sentence
        return phonemes

    def encode(self, phonemes: list[str], speaker: int, length_scale: float, noise: float = 1.0) -> Latents:
        config = self.config
        scales = (config.noise_scale * noise, config.length_scale * length_scale, config.noise_w_scale * noise)
        return self.model.encode(self._piper.phonemes_to_ids(phonemes), scales, speaker)

    def frames_passed(self, phonemes: list[str], latents: Latents) -> list[float]:
        """When each number of phonemes has passed, counted from the beginning."""
        from piper.const import BOS, EOS, PAD

        ids, pad = self.config.phoneme_id_map, len(self.config.phoneme_id_map[PAD])
        counts = [len(ids[BOS]) + pad, *(len(ids[one]) + pad if one in ids else 0 for one in phonemes)]
        if sum(counts) + len(ids[EOS]) != len(latents.frames_of_id):  # Mandarin has ids of its own
            return [latents.frames * number / max(1, len(phonemes)) for number in range(len(phonemes) + 1)]
        passed = [0.0, *accumulate(latents.frames_of_id)]
        return [passed[number] for number in accumulate(counts)]

    def _measured_gain(self, speaker: int) -> float:
        latents = self.encode(self.phonemes(_PROBE), speaker, 1.0, noise=0.0)
        peak = float(np.abs(self.model.decode(latents, 0, latents.frames)).max(initial=0.0))
        if not peak > 0:
            raise ValueError("it is silent")
        return _PROBE_PEAK / peak
