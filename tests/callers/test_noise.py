import numpy as np
import pytest

from callers.noise import noise
from callers.voice import RATE, synthesizer
from shared.audio import level_dbfs


async def test_noises_have_the_length_and_the_level_they_are_given_and_are_always_the_same() -> None:
    async with synthesizer() as voices:
        white = await noise("white", 0.5, -20, voices)
        babble = await noise("babble", 2, -26, voices)
        clicks, again = [await noise("click", 2, -10, voices) for _ in range(2)]
    assert (len(white), len(babble)) == (RATE // 2, 2 * RATE)
    assert level_dbfs(white) == pytest.approx(-20, abs=0.5)
    assert level_dbfs(babble) == pytest.approx(-26, abs=0.5)
    assert 0 < np.count_nonzero(clicks) < len(clicks) / 20
    assert np.array_equal(clicks, again)
