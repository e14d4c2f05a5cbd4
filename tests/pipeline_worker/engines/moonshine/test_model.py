"""The model that is installed, on a synthetic caller's speech."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_worker.engines.moonshine.files import PACKAGED, folder_of
from pipeline_worker.engines.moonshine.model import MoonshineModel, read_pieces
from pipeline_worker.text.words import words_of
from tests.pipeline_worker.engines.spoken import caller

BOOKING = "I need to cancel my booking for tomorrow, please."


@pytest.fixture(scope="module")
def model() -> MoonshineModel:
    folder = folder_of(PACKAGED)
    assert folder is not None
    return MoonshineModel(folder, tokens_per_s=6.5)


@pytest.fixture(scope="module")
def booking() -> NDArray[np.float32]:
    async def said() -> NDArray[np.float32]:
        async with caller() as one:
            return (await one.says(BOOKING)).astype(np.float32) / np.float32(32_768)

    return asyncio.run(said())


def test_a_sentence_is_understood(model: MoonshineModel, booking: NDArray[np.float32]) -> None:
    heard = model.hear(booking)
    words = words_of(model.text(heard.tokens))
    assert words[:6] == ["i", "need", "to", "cancel", "my", "booking"]
    assert -0.5 < heard.certainty < 0


@pytest.mark.parametrize("kept", [1, 3, 99])
def test_a_draft_changes_nothing(model: MoonshineModel, booking: NDArray[np.float32], kept: int) -> None:
    heard = model.hear(booking)
    again = model.hear(booking, heard.tokens[:kept])
    assert again.tokens == heard.tokens
    assert again.certainty == pytest.approx(heard.certainty, abs=0.05)  # its numbers are scaled by run


def test_a_wrong_draft_changes_nothing(model: MoonshineModel, booking: NDArray[np.float32]) -> None:
    heard = model.hear(booking)
    early = model.hear(booking[: len(booking) // 2])
    wrong = (*heard.tokens[:3], *reversed(heard.tokens))
    assert early.tokens != heard.tokens
    assert {model.hear(booking, draft).tokens for draft in (early.tokens, wrong, (5,) * 500)} == {heard.tokens}


@pytest.mark.parametrize("samples", [0, 1, 500])
def test_a_very_short_sound_can_be_recognised(model: MoonshineModel, samples: int) -> None:
    assert len(model.hear(np.zeros(samples, dtype=np.float32)).tokens) <= 5


def test_there_are_no_more_words_than_can_be_said(model: MoonshineModel) -> None:
    noise = np.random.default_rng(4).normal(0, 0.05, 10 * 16_000).astype(np.float32)
    assert len(model.hear(noise).tokens) <= 69


def test_pieces_are_read() -> None:
    assert read_pieces(b"\x00\x02ab\x81\x01" + b"c" * 129 + b"\x01d") == [b"", b"ab", b"c" * 129, b"d"]
