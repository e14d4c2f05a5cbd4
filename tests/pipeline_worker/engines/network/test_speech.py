from collections.abc import AsyncGenerator

import numpy as np
import pytest

from pipeline_worker.engines.network.errors import broken, lost
from pipeline_worker.engines.network.speech import TimedSpeech, spoken
from pipeline_worker.engines.protocols import SpeechPiece, Word
from shared.errors import EngineError

PIECE = SpeechPiece(np.ones(10, np.int16), ())


def test_words_that_come_last_travel_with_the_tail_and_end_with_it() -> None:
    speech = TimedSpeech()
    first = speech.push(np.arange(1_000, dtype=np.int16))
    assert first is not None
    assert len(first.samples) == 760
    speech.add_words([Word("very", 900), Word("late", 1_001)])
    last = speech.finish()
    assert last is not None
    assert last.words == (Word("very", 900), Word("late", 1_000))
    assert np.array_equal(np.concatenate((first.samples, last.samples)), np.arange(1_000))
    assert speech.finish() is None


def test_speech_shorter_than_the_tail_waits_for_the_end() -> None:
    speech = TimedSpeech()
    assert speech.push(np.ones(100, np.int16), [Word("a", 50)]) is None
    assert speech.push(np.ones(100, np.int16)) is None
    whole = speech.finish()
    assert whole is not None
    assert len(whole.samples) == 200
    assert whole.words == (Word("a", 50),)


class Attempts:
    """Each attempt yields this many pieces, and then its error if it has one."""

    def __init__(self, *outcomes: tuple[int, EngineError | None]) -> None:
        self.outcomes = list(outcomes)

    async def __call__(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        pieces, error = self.outcomes.pop(0)
        for _ in range(pieces):
            yield PIECE
        if error is not None:
            raise error


LOST = lost("Acme", ConnectionResetError())


@pytest.mark.parametrize(
    ("outcomes", "pieces", "fails"),
    [
        ([(2, None)], 2, False),
        ([(0, LOST), (2, None)], 2, False),
        ([(0, LOST), (0, LOST)], 0, True),
        ([(1, LOST)], 1, True),
        ([(0, broken("Acme", "nonsense"))], 0, True),
        ([(0, None)], 0, True),
    ],
)
async def test_only_a_connection_lost_before_any_speech_is_tried_again(
    outcomes: list[tuple[int, EngineError | None]], pieces: int, fails: bool
) -> None:
    attempts = Attempts(*outcomes)
    given = 0
    error: EngineError | None = None
    try:
        async for _ in spoken("Acme", "Hello.", attempts):
            given += 1
    except EngineError as caught:
        error = caught
    assert (given, error is not None) == (pieces, fails)
    assert attempts.outcomes == []


async def test_punctuation_alone_is_silence() -> None:
    assert [piece async for piece in spoken("Acme", " -- ?!", Attempts())] == []
