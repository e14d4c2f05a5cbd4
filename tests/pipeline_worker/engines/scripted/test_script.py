"""The error for every mistake in a script names its place and a remedy."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline_worker.engines.options import read_options
from pipeline_worker.engines.scripted.script import Answer, Script, stock_sentences
from shared.errors import ConfigError
from tests.fakes.scripts import scripted_agent
from tests.pipeline_worker.engines.scripted.scripts import RESTAURANT

_REMOVED = object()
_HOURS, _BOOKING, _CHANGE, _REPEAT = 3, 0, 1, 5


def changed(path: str, value: Any) -> dict[str, Any]:
    script = copy.deepcopy(RESTAURANT)
    *folders, last = path.split(".")
    place: Any = script
    for key in folders:
        place = place[int(key) if key.isdigit() else key]
    if value is _REMOVED:
        del place[last]
    else:
        place[last] = value
    return script


def test_a_script_is_read() -> None:
    script = Script.model_validate(RESTAURANT)
    assert script.intents[_BOOKING].examples[0] == "I would like to book a table"
    assert script.intents[_BOOKING].answers == (Answer(say=RESTAURANT["intents"][_BOOKING]["reply"]),)
    assert script.intents[_REPEAT].answers == ()
    assert [answer.conditions for answer in script.intents[_HOURS].answers] == [
        [("day", ("monday",))],
        [("day", ("saturday", "sunday"))],
        [],
    ]


def test_examples_are_a_list_or_lines_of_text() -> None:
    lines = Script.model_validate(changed("intents.0.examples", "book a table\n\n  a table please  \n"))
    listed = Script.model_validate(changed("intents.0.examples", ["book a table", "a table please"]))
    assert lines == listed


def test_every_script_knows_how_people_agree_and_decline() -> None:
    script = Script.model_validate(RESTAURANT)
    assert "yes" in {text.lower() for text in script.agree}
    assert "no" in {text.lower() for text in script.decline}
    assert not {text.lower() for text in script.agree} & {text.lower() for text in script.decline}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("intents", [], "at least 1 item"),
        ("intents", _REMOVED, "intents"),
        ("fallback", [], "at least 1 item"),
        ("fallback", _REMOVED, "fallback"),
        ("intents.0.examples", [], "at least 1 item"),
        ("intents.0.examples", " \n ", "at least 1 item"),
        ("intents.0.name", "Booking", "String should match pattern"),
        ("intents.0.name", "hours", "two intents share a name"),
        ("intents.0.name", "yes", "one is named yes or no: give each a name of its own"),
        ("intents.0.phrases", ["book a table"], "phrases"),
        ("intents.0.needs", ["party_size", "place"], "intent 'booking': needs: no slot ['place']: add it to 'slots'"),
        ("intents.3.uses", ["place"], "intent 'hours': uses: no slot ['place']: add it to 'slots'"),
        ("slots.day.ask", _REMOVED, "intent 'booking': needs: slot 'day' has no question: add 'ask' to it"),
        (
            "intents.1.amends",
            "bookings",
            "intent 'change': amends: no intent 'bookings' with 'needs': correct the name",
        ),
        ("intents.1.amends", "hours", "intent 'change': amends: no intent 'hours' with 'needs': correct the name"),
        ("intents.1.amends", _REMOVED, "one of 'reply', 'repeats: true' and 'amends': add or remove one"),
        ("intents.1.reply", "Changed.", "one of 'reply', 'repeats: true' and 'amends': add or remove one"),
        ("intents.5.reply", "Again.", "one of 'reply', 'repeats: true' and 'amends': add or remove one"),
        ("intents.0.reply", "At {place}.", "intent 'booking': reply uses ['place']: list it under 'needs', or in"),
        ("intents.3.reply", "On {day}.", "intent 'hours': reply uses ['day']: list it under 'needs', or in"),
        ("intents.0.confirm", "At {diet}?", "intent 'booking': confirm uses ['diet']: list it under 'needs'"),
        ("intents.3.confirm", "Really?", "confirm: there is nothing to confirm without 'needs': add slots there"),
        ("intents.3.reply", [], "add one without, for all other values"),
        (
            "intents.3.reply",
            [{"if": {"day": "monday"}, "say": "No."}],
            "reply: the last answer has an 'if': add one without, for all other values",
        ),
        (
            "intents.3.reply",
            [{"if": {"diet": "fish"}, "say": "No."}, {"say": "Yes."}],
            "intent 'hours': if: ['diet']: list it under 'needs' or 'uses'",
        ),
        ("timezone", "Europe/Atlantis", "no time zone 'Europe/Atlantis': write one such as Europe/Berlin"),
        ("slots.day.type", "weekday", "'people', 'number', 'date', 'time', 'name', 'yes_no', 'choice'"),
        ("slots.day.type", _REMOVED, "Unable to extract tag using discriminator 'type'"),
        ("slots.day.closed", ["mondays"], "'monday', 'tuesday'"),
        ("slots.day.min", 1, "Extra inputs are not permitted"),
        ("slots.party_size.max", 0, "greater than or equal to 1"),
        ("slots.time.windows.0.opens", "5pm", "'5pm' is no time of day: write it as '17:30'"),
        ("slots.time.windows.0.opens", "17:99", "'17:99' is no time of day: write it as '17:30'"),
        ("slots.diet.values", {}, "at least 1 item"),
        ("slots.diet.values", {"vegan": ["vegan", " "]}, "'vegan' has an empty word: remove it"),
    ],
)
def test_the_error_for_an_inconsistent_script_names_the_place(path: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Script.model_validate(changed(path, value))
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [("slots.time.day", "date", "no slot 'date'"), ("slots.time.day", "party_size", "'party_size'")],
)
def test_a_time_whose_day_is_not_a_date_slot_is_an_error(path: str, value: Any, told: str) -> None:
    """Otherwise its limits for single days would silently never apply."""
    with pytest.raises(ValidationError, match=told):
        Script.model_validate(changed(path, value))


def test_a_reply_that_is_not_a_template_is_an_error() -> None:
    with pytest.raises(ValidationError, match="reply"):
        Script.model_validate(changed("intents.2.reply", "Nothing is {booked."))


def test_a_condition_on_an_unknown_choice_is_an_error() -> None:
    reply = [{"if": {"diet": "meat"}, "say": "No."}, {"say": "Yes."}]
    with pytest.raises(ValidationError, match="meat"):
        Script.model_validate(changed("intents.4.reply", reply))


def test_the_error_names_agent_and_field() -> None:
    with pytest.raises(ConfigError) as raised:
        read_options(scripted_agent(changed("slots.time.windows.0.opens", "5pm")), "language_model", Script)
    assert raised.value.message.startswith("agent 'desk': language_model.options.slots.time")
    assert "'5pm' is no time of day: write it as '17:30'" in raised.value.message


@pytest.mark.parametrize("name", ["agree", "decline", "out_of_scope"])
def test_each_stock_sentence_is_there_once_and_says_something(name: str) -> None:
    sentences = stock_sentences(name)
    assert len(sentences) > 20
    assert all(any(character.isalnum() for character in sentence) for sentence in sentences)
    assert len({sentence.strip().casefold() for sentence in sentences}) == len(sentences)


def test_no_stock_sentence_is_in_two_files() -> None:
    agree, decline, out_of_scope = (set(stock_sentences(name)) for name in ("agree", "decline", "out_of_scope"))
    assert not (agree & decline or agree & out_of_scope or decline & out_of_scope)
