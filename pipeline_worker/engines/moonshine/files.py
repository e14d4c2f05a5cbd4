"""Finds and verifies the files of a Moonshine model."""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

ENCODER, DECODER, TOKENIZER = FILES = "encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"

PACKAGED = "tiny-en"
"""The model in the package moonshine-voice 0.1.0 (MIT)."""
_SHA256 = {
    ENCODER: "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    DECODER: "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    TOKENIZER: "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
}


def folder_of(model: str) -> Path | None:
    """The folder of `model`, a path or `PACKAGED`; None if its package is missing."""
    if model != PACKAGED:
        return Path(model)
    # Only the files are needed: importing the package would load a second runtime.
    package = find_spec("moonshine_voice")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "assets" / PACKAGED


def verify(folder: Path) -> None:
    """Raises `ValueError` if the files in `folder` are not those of `PACKAGED`."""
    for name, expected in _SHA256.items():
        if sha256((folder / name).read_bytes()).hexdigest() != expected:
            raise ValueError(f"{folder / name} is not the file of moonshine-voice 0.1.0: install that version again")
