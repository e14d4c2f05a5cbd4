import pytest
from pydantic import ValidationError

from deploy.evaluation.voice import Voice


@pytest.mark.parametrize("field", [{"voice": "en;rm"}, {"rate": 10}, {"pitch": 100}, {"level_db": 3}, {"speed": 1}])
def test_a_voice_that_cannot_be_had_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Voice.model_validate(field)
