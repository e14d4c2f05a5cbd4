from pathlib import Path

import numpy as np
import pytest

from pipeline_worker.engines.piper.vits_model import Floats, Latents, VitsModel
from tests.fakes.small_vits import HOP, write_small_vits
from tests.pipeline_worker.engines.piper.piper_voices import joe

SCALES = (0.667, 1.0, 0.8)
IDS = [3, 14, 15, 92, 6, 53, 58, 97, 93, 23, 84, 62, 64, 33, 83, 27, 95, 2, 88, 41, 97]


def in_slices(model: VitsModel, latents: Latents, length: int) -> Floats:
    ends = [*range(length, latents.frames, length), latents.frames]
    return np.concatenate([model.decode(latents, first, end) for first, end in zip([0, *ends[:-1]], ends, strict=True)])


@pytest.mark.parametrize("length", [7, 34, 86])
def test_slices_of_the_shipped_voice_are_the_whole(length: int) -> None:
    voice = joe()
    latents = voice.encode(voice.phonemes("We have room for four people at seven on Friday."), 0, 1.0)
    whole = voice.model.decode(latents, 0, latents.frames)
    sliced = in_slices(voice.model, latents, length)
    assert len(sliced) == len(whole) == latents.frames * voice.model.hop
    assert 20 * np.log10(np.std(sliced - whole) / np.std(whole)) < -100
    assert sum(latents.frames_of_id) == latents.frames


@pytest.mark.parametrize("length", [1, 5, 42])
@pytest.mark.parametrize("decoder", ["/dec/", "/other/"])
def test_speakers_cross_the_cut_and_what_cannot_be_cut_is_sliced_afterwards(
    tmp_path: Path, decoder: str, length: int
) -> None:
    write_small_vits(tmp_path / "small.onnx", decoder)
    model = VitsModel(tmp_path / "small.onnx", HOP)
    voices = []
    for speaker in (0, 2):
        latents = model.encode(IDS, SCALES, speaker)
        assert latents.frames == 2 * len(IDS)
        assert latents.frames_of_id == [2.0] * len(IDS)
        voices.append(in_slices(model, latents, length))
        assert len(voices[-1]) == latents.frames * HOP
        assert np.abs(voices[-1] - model.decode(latents, 0, latents.frames)).max() < 1e-6
    assert np.abs(voices[0] - voices[1]).max() > 0.01


def test_a_split_model_says_the_same_as_a_whole_one(tmp_path: Path) -> None:
    said = []
    for decoder in ("/dec/", "/other/"):
        write_small_vits(tmp_path / "small.onnx", decoder)
        model = VitsModel(tmp_path / "small.onnx", HOP)
        said.append(in_slices(model, model.encode(IDS, SCALES, 1), 9))
    assert np.abs(said[0] - said[1]).max() < 1e-6


def test_a_file_that_is_not_a_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "voice.onnx").write_bytes(b"not a model")
    with pytest.raises(Exception, match=r".+"):
        VitsModel(tmp_path / "voice.onnx", HOP)
