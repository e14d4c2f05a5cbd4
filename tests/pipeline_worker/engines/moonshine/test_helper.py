"""What the helper makes of sounds, with the model that is installed."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_worker.engines.moonshine.helper import load, said
from pipeline_worker.engines.moonshine.speech_to_text import MoonshineOptions
from pipeline_worker.engines.utterance.helper import Recognize
from shared.audio import UPLINK_RATE
from tests.pipeline_worker.engines.spoken import caller


@pytest.fixture(scope="module")
def recognise() -> Recognize:
    return load(MoonshineOptions().model_settings("en"))


def _white(random: np.random.Generator, at: NDArray[np.float64]) -> NDArray[np.float64]:
    noise: NDArray[np.float64] = random.normal(0, 1, len(at))
    return noise


def _pink(random: np.random.Generator, at: NDArray[np.float64]) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(random.normal(0, 1, len(at)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), len(at))
    pink: NDArray[np.float64] = noise / noise.std()
    return pink


def _hum(_: np.random.Generator, at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * 50 * at) + 0.5 * np.sin(2 * np.pi * 150 * at)


def _clicks(random: np.random.Generator, at: NDArray[np.float64]) -> NDArray[np.float64]:
    return _white(random, at) * 3 * np.exp(-(at % 0.4) / 0.0025)


def _cough(random: np.random.Generator, at: NDArray[np.float64]) -> NDArray[np.float64]:
    breath = np.convolve(_white(random, at), np.ones(6) / 6, "same")
    cough: NDArray[np.float64] = breath * 4 * np.exp(-(at % 0.5) / 0.1) * (1 - np.exp(-(at % 0.5) / 0.005))
    return cough


@pytest.mark.parametrize("level", [0.002, 0.01, 0.05, 0.15])
@pytest.mark.parametrize("sound", [_white, _pink, _hum, _clicks, _cough], ids=lambda sound: sound.__name__)
def test_noise_has_no_text(
    recognise: Recognize, sound: Callable[[np.random.Generator, NDArray[np.float64]], NDArray[np.float64]], level: float
) -> None:
    for seconds in (0.6, 1.5, 3.0):
        at = np.arange(int(seconds * UPLINK_RATE)) / UPLINK_RATE
        samples = level * sound(np.random.default_rng(3), at) + np.random.default_rng(4).normal(0, 0.0006, len(at))
        assert recognise(samples.clip(-1, 1).astype(np.float32), None).text == ""


@pytest.mark.parametrize("loudness", [1.0, 0.1])
async def test_short_words_are_understood_quiet_ones_too(recognise: Recognize, loudness: float) -> None:
    async with caller() as one:
        for word in ("Yes.", "No.", "Seven.", "Okay.", "Yeah.", "Right.", "Stop."):
            samples = (await one.says(word)).astype(np.float32) / np.float32(32_768) * np.float32(loudness)
            assert recognise(samples, None).text == word


@pytest.mark.parametrize(
    ("text", "certainty", "expected"),
    [
        ("Yes.", -0.1, "Yes."),
        ("The first is the first.", -1.8, ""),
        ("You", -0.2, ""),
        ("you.", -0.1, ""),
        ("So", -0.5, ""),
        ("So, yes.", -0.5, "So, yes."),
        ("Thank you for watching!", -0.4, ""),
        ("♪♪♪", -0.2, ""),
        ("", -0.2, ""),
        ("Good-bye, to-day or to-morrow.", -0.1, "Goodbye, today or tomorrow."),
        ("Half-past seven to-go.", -0.1, "Half-past seven to-go."),
        ("You too.", -0.1, "You too."),
        ("In the morning,", -0.1, "In the morning."),
        ("Um,,", -0.1, "Um."),
    ],
)
def test_what_the_model_hears_in_noise_is_dropped(text: str, certainty: float, expected: str) -> None:
    assert said(text, certainty) == expected
