import re

import pytest

from pipeline_worker.engines import grammar
from pipeline_worker.engines.grammar import Chain, Choice, Grammar, Literal, Maybe, Slot, parse
from shared.errors import ConfigError


def test_words_options_choices_and_slots_are_read() -> None:
    assert parse("Book a (table | seat) [for {size}]") == Chain(
        (
            Literal("book"),
            Literal("a"),
            Choice((Literal("table"), Literal("seat"))),
            Maybe(Chain((Literal("for"), Slot("size")))),
        )
    )


def test_a_choice_needs_no_brackets_around_it() -> None:
    assert parse("tonight | this evening") == Choice((Literal("tonight"), Chain((Literal("this"), Literal("evening")))))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("book a table [for two", "not closed: add ']'"),
        ("book a table)", "has no beginning"),
        ("(a ] b", "not closed: add ')'"),
        ("a | | b", "at least one word"),
        ("", "at least one word"),
        ("[]", "at least one word"),
        ("a table for 2", "cannot read '2': a phrase has words (numbers spelt out"),
        ("hello!", "cannot read '!'"),
        ("for {Party Size}", "cannot read '{Party Size}'"),
    ],
)
def test_a_phrase_that_makes_no_sense_is_quoted_with_the_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert f"phrase '{text}'" in raised.value.message
    assert told in raised.value.message


def test_words_are_those_of_phrases_and_values() -> None:
    table = Grammar((parse("a table [for {size}]"), parse("(yes | no)")), {"size": (parse("two | a couple"),)})
    assert table.words() == {"a", "table", "for", "yes", "no", "two", "couple"}


def test_jsgf_has_a_rule_for_each_slot_and_one_for_what_may_be_said() -> None:
    table = Grammar((parse("a table [for {size}]"), parse("yes")), {"size": (parse("two"), parse("three"))})
    assert table.jsgf().splitlines() == [
        "#JSGF V1.0;",
        "grammar agent;",
        "<slot_size> = two | three;",
        "<phrase> = a table [for <slot_size>] | yes;",
        "public <utterance> = <phrase>;",
    ]


def test_decoys_are_a_sentence_in_any_number() -> None:
    assert Grammar((parse("yes"),), {}).jsgf(["decoy_a", "decoy_b"]).splitlines()[2:] == [
        "<phrase> = yes;",
        "<decoy> = decoy_a | decoy_b;",
        "public <utterance> = <phrase> | <decoy>+;",
    ]


def test_backchannels_are_a_rule_that_comes_later() -> None:
    assert Grammar((parse("yes"),), {}).jsgf(with_backchannels=True).splitlines()[2:] == [
        "<phrase> = yes;",
        "public <utterance> = <phrase> | <backchannel>;",
    ]


@pytest.mark.parametrize(
    ("words", "slots"),
    [
        ("a table for two ", {"size": "two "}),
        ("a table for two tomorrow night ", {"size": "two ", "day": "tomorrow night "}),
        ("a table for tomorrow ", {"day": "tomorrow "}),
        ("a table ", {}),
        ("table ", None),
        ("a table for ", None),
        ("a table for two tomorrow nights ", None),
    ],
)
def test_a_regex_takes_what_the_phrase_means_and_tells_the_slots(words: str, slots: dict[str, str] | None) -> None:
    values = {"size": (parse("two"), parse("three")), "day": (parse("tomorrow [night]"),)}
    # A slot may stand in two alternatives.
    phrase = parse("a table [for {size} [{day}] | for {day}]")
    match = re.fullmatch(grammar.regex(phrase, values), words)
    found = match and {grammar.slot_of(group): said for group, said in match.groupdict().items() if said is not None}
    assert found == slots


def test_words_with_marks_are_taken_to_the_letter() -> None:
    pattern = grammar.regex(parse("at p.m. o'clock"), {})
    assert re.fullmatch(pattern, "at p.m. o'clock ")
    assert not re.fullmatch(pattern, "at pxm. o'clock ")
