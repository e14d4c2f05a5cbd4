from datetime import date
from typing import Any

import pytest

from pipeline_worker.engines.scripted.relative_changes import relative_changes
from pipeline_worker.engines.scripted.script import Script
from tests.pipeline_worker.engines.scripted.scripts import RESTAURANT

SLOTS = Script.model_validate(RESTAURANT).slots
KNOWN = {"party_size": 4, "day": date(2026, 12, 4), "time": 19 * 60, "name": "Miller"}


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("2 more people", {"party_size": 6}),
        ("1 person less", {"party_size": 3}),
        ("an hour later", {"time": 20 * 60}),
        ("half an hour earlier", {"time": 18 * 60 + 30}),
        ("30 minutes later please", {"time": 19 * 60 + 30}),
        ("the day after", {"day": date(2026, 12, 5)}),
        ("2 days earlier", {"day": date(2026, 12, 2)}),
        ("a week later", {"day": date(2026, 12, 11)}),
        ("An Hour Later and 1 more person", {"time": 20 * 60, "party_size": 5}),
        ("later", {}),
        ("4 people", {}),
    ],
)
def test_changes_of_what_is_known(text: str, changed: dict[str, Any]) -> None:
    assert relative_changes(text, SLOTS, KNOWN) == changed


def test_an_unknown_value_cannot_change() -> None:
    assert relative_changes("an hour later for 2 more people, the day after", SLOTS, {}) == {}
