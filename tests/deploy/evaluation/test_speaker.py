import numpy as np
import pytest

from deploy.evaluation.scenario import NoisePart
from deploy.evaluation.speaker import RATE, at_level, speaking
from deploy.evaluation.voice import Voice
from shared.audio import level_dbfs
from shared.errors import EngineError


async def test_it_speaks_with_the_voice_the_rate_and_the_level_that_it_is_told() -> None:
    async with speaking() as speaker:
        slow = await speaker.speech("Hello, who is there?", Voice(rate=120))
        quick = await speaker.speech("Hello, who is there?", Voice(rate=240))
        quiet = await speaker.speech("Hello, who is there?", Voice(rate=240, level_db=-35))
        again = await speaker.speech("Hello, who is there?", Voice(rate=120))
    assert RATE < len(slow) < 4 * RATE
    assert len(quick) < 0.8 * len(slow)
    assert level_dbfs(quiet) == pytest.approx(-35, abs=0.5)
    assert again is slow


async def test_a_voice_that_is_not_there_is_named() -> None:
    async with speaking() as speaker:
        with pytest.raises(EngineError, match="no voice 'nobody'"):
            await speaker.speech("Hello.", Voice(voice="nobody"))


async def test_noises_are_as_long_and_as_loud_as_they_are_told_and_always_the_same() -> None:
    async with speaking() as speaker:
        white = await speaker.noise(NoisePart.model_validate({"kind": "white", "duration": "500ms", "level_db": -20}))
        babble = await speaker.noise(NoisePart.model_validate({"kind": "babble", "duration": "2s", "level_db": -26}))
        clicks, again = [
            await speaker.noise(NoisePart.model_validate({"kind": "click", "duration": "2s", "level_db": -10}))
            for _ in range(2)
        ]
    assert (len(white), len(babble)) == (RATE // 2, 2 * RATE)
    assert level_dbfs(white) == pytest.approx(-20, abs=0.5)
    assert level_dbfs(babble) == pytest.approx(-26, abs=0.5)
    assert 0 < np.count_nonzero(clicks) < len(clicks) / 20
    assert np.array_equal(clicks, again)


def test_silence_has_no_level() -> None:
    assert not at_level(np.zeros(10), -20).any()
