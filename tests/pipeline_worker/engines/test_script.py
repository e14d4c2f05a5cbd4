import copy
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline_worker.engines.grammar import parse
from pipeline_worker.engines.script import Script
from tests.fakes.scripts import SCRIPT


def test_the_grammar_has_all_that_callers_may_say() -> None:
    grammar = Script.model_validate(SCRIPT).grammar()
    assert parse("never mind") in grammar.phrases
    assert parse("[at] {time}") in grammar.phrases
    assert grammar.slots["size"] == (parse("two | a couple"), parse("seven"))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("intents.0.phrases", ["when (you"], "not closed"),
        ("intents.0.phrases", ["for {nothing}"], "no slot ['nothing']: add it to 'slots'"),
        ("intents.0.reply", None, "either 'reply' or 'repeats: true'"),
        ("intents.3.reply", "Again", "either 'reply' or 'repeats: true'"),
        ("intents.0.name", "book", "two intents share a name"),
        ("intents.1.needs", ["size", "place"], "needs: no slot ['place']"),
        ("intents.1.reply", "At {place}.", "reply uses ['place']: list them under 'needs'"),
        ("slots.size.values", {"two": "{time}"}, "a value cannot hold a slot"),
        ("slots.size.phrases", ["for {time}"], "must hold {size} once"),
        ("slots.size.phrases", ["for you"], "must hold {size} once"),
        ("slots.size.values", {}, "at least 1 item"),
        ("fallback", [], "at least 1 item"),
        ("intents", [], "at least 1 item"),
    ],
)
def test_a_script_that_does_not_fit_together_is_told_where(path: str, value: Any, told: str) -> None:
    script = copy.deepcopy(SCRIPT)
    *folders, last = path.split(".")
    place: Any = script
    for key in folders:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    with pytest.raises(ValidationError) as raised:
        Script.model_validate(script)
    assert told in str(raised.value)
