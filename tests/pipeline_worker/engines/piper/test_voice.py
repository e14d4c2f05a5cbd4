import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline_worker.engines.piper.voice import Voice
from tests.fakes.small_vits import SPEAKERS
from tests.pipeline_worker.engines.piper.piper_voices import MODEL, joe, small_voice


def test_phonemes_of_several_sentences_are_one_row() -> None:
    assert "".join(joe().phonemes("Yes. No!")) == "jˈɛs. nˈoʊ!"
    assert joe().phonemes("") == []


def test_when_each_phoneme_has_passed_is_known() -> None:
    phonemes = joe().phonemes("Good evening")
    latents = joe().encode(phonemes, 0, 1.0)
    passed = joe().frames_passed(phonemes, latents)
    assert len(passed) == len(phonemes) + 1
    assert passed == sorted(passed)
    assert 0 < passed[0] < passed[-1] < latents.frames


def test_a_phoneme_that_the_voice_does_not_have_takes_no_time() -> None:
    phonemes = [*"ab", "☂", *"c"]
    latents = joe().encode(phonemes, 0, 1.0)
    passed = joe().frames_passed(phonemes, latents)
    assert passed[2] == passed[3] < passed[4]


def test_without_knowing_the_ids_the_time_is_shared_out() -> None:
    latents = joe().encode(list("abcd"), 0, 1.0)
    passed = joe().frames_passed(list("abcdefgh"), latents)
    assert passed == [latents.frames * part / 8 for part in range(9)]


def test_a_longer_scale_speaks_more_slowly() -> None:
    phonemes = joe().phonemes("We are open from nine to five.")
    frames = [joe().encode(phonemes, 0, scale, noise=0.0).frames for scale in (1.0, 2.0)]
    assert frames[1] == pytest.approx(2 * frames[0], rel=0.15)


def test_the_gain_is_measured_once_and_stays() -> None:
    assert 1.0 < joe().gain(0) < 2.0
    assert joe().gain(0) == joe().gain(0) == pytest.approx(Voice(MODEL).gain(0), rel=1e-4)


def test_speakers_have_levels_of_their_own(tmp_path: Path) -> None:
    voice = Voice(small_voice(tmp_path))
    assert (voice.speaker_number(None), voice.speaker_number(2)) == (1, 2)
    peaks = []
    for speaker in range(SPEAKERS):
        latents = voice.encode(voice.phonemes("Okay, great! What can I do for you?"), speaker, 1.0)
        peaks.append(np.abs(voice.model.decode(latents, 0, latents.frames)).max() * voice.gain(speaker))
    assert peaks == pytest.approx([0.8] * SPEAKERS, rel=0.01)
    with pytest.raises(ValueError, match="no speaker 3: of 3, the first is 0"):
        voice.speaker_number(3)


def test_a_voice_of_one_has_one_speaker() -> None:
    assert joe().speaker_number(None) == joe().speaker_number(0) == 0
    with pytest.raises(ValueError, match="no speaker 1"):
        joe().speaker_number(1)


def test_another_file_than_the_published_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "joe.onnx"
    shutil.copy(f"{MODEL}.json", f"{path}.json")
    path.write_bytes(b"not the model")
    with pytest.raises(ValueError, match="SHA-256"):
        Voice(path, "58afce03")
