"""Test sounds, and how alike two of them are."""

import numpy as np

from shared.audio import Pcm


def tone(hertz: float, seconds: float, rate: int, level: float = 0.3) -> Pcm:
    at = np.arange(round(seconds * rate)) / rate
    return (level * 32_767 * np.sin(2 * np.pi * hertz * at)).astype("<i2")


def vowels(seconds: float, rate: int, seed: int = 1) -> Pcm:
    """Something like speech: a voice that glides, with formants that change four times a second."""
    chance = np.random.default_rng(seed)
    at = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.3 * at)) / rate
    sound = np.zeros(len(at))
    quarter = rate // 4
    for begin in range(0, len(at), quarter):
        part = slice(begin, begin + quarter)
        formants = chance.uniform((300, 900, 2_000), (800, 1_800, 3_000))
        for harmonic in range(1, 28):
            hertz = 120 * harmonic
            gain = sum(np.exp(-(((hertz - formant) / 150) ** 2)) for formant in formants)
            sound[part] += gain * np.sin(harmonic * pitch[part])
    loud: Pcm = (sound / np.abs(sound).max() * 12_000).astype("<i2")
    return loud


def likeness(one: Pcm, other: Pcm, largest_shift: int = 0) -> float:
    """Normalised correlation, 1 for the same wave form, at the best shift of `other` by up to this many samples."""
    best = -1.0
    for shift in range(largest_shift + 1):
        shifted = other[shift : shift + len(one)].astype(np.float64)
        first = one[: len(shifted)].astype(np.float64)
        scale = np.sqrt(np.dot(first, first) * np.dot(shifted, shifted))
        if scale:
            best = max(best, float(np.dot(first, shifted) / scale))
    return best


def strength(samples: Pcm, hertz: float, rate: int) -> float:
    """The share of the energy that lies within 5 % of this frequency."""
    if not len(samples):
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    at = np.fft.rfftfreq(len(samples), 1 / rate)
    total = spectrum.sum()
    return float(spectrum[np.abs(at - hertz) < 0.05 * hertz].sum() / total) if total else 0.0
