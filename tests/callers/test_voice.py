import numpy as np
import pytest
from pydantic import ValidationError

from callers.voice import RATE, Voice, at_level, synthesizer
from shared.audio import level_dbfs
from shared.errors import EngineError


@pytest.mark.parametrize("field", [{"voice": "en;rm"}, {"rate": 10}, {"pitch": 100}, {"level_db": 3}, {"speed": 1}])
def test_an_impossible_voice_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Voice.model_validate(field)


async def test_speech_has_the_rate_and_the_level_of_its_voice_and_is_kept() -> None:
    async with synthesizer() as voices:
        slow = await voices.speech("Hello, who is there?", Voice(rate=120))
        quick = await voices.speech("Hello, who is there?", Voice(rate=240))
        quiet = await voices.speech("Hello, who is there?", Voice(rate=240, level_db=-35))
        again = await voices.speech("Hello, who is there?", Voice(rate=120))
    assert RATE < len(slow) < 4 * RATE
    assert len(quick) < 0.8 * len(slow)
    assert level_dbfs(quiet) == pytest.approx(-35, abs=0.5)
    assert again is slow


async def test_the_error_for_an_unknown_voice_names_it() -> None:
    async with synthesizer() as voices:
        with pytest.raises(EngineError, match="no voice 'nobody'"):
            await voices.speech("Hello.", Voice(voice="nobody"))


def test_silence_has_no_level() -> None:
    assert not at_level(np.zeros(10), -20).any()
