import pytest

from pipeline_worker.turns.backchannels import BargeInWords, expected, usual
from shared.agent import AgentDefinition, TurnTaking


@pytest.mark.parametrize("text", ["", "uh-huh", "Uh huh.", "Yeah, yeah.", "okay I see", "Mhm", "Right. Got it!"])
def test_backchannels_do_not_claim_the_floor(text: str) -> None:
    assert not BargeInWords(usual("en"), 0).claim(text)


@pytest.mark.parametrize("text", ["no", "yeah but", "I see a problem", "wait", "okay stop"])
def test_other_words_claim_the_floor(text: str) -> None:
    assert BargeInWords(usual("en-GB"), 0).claim(text)


def test_an_agent_may_require_several_words() -> None:
    words = BargeInWords([], 3)
    assert not words.claim("wait please")
    assert words.claim("wait a moment")


def test_without_backchannels_every_word_claims_the_floor() -> None:
    assert BargeInWords([], 0).claim("hm")
    assert not BargeInWords([], 0).claim(" ...")


def test_each_language_has_its_own_backchannels() -> None:
    assert not BargeInWords(usual("de_DE"), 0).claim("Ach so, genau")
    assert usual("tlh") == ()


def test_the_backchannels_of_the_definition_replace_those_of_the_language() -> None:
    agent = AgentDefinition(id="desk", name="Desk", language="de")
    assert expected(agent) == usual("de")
    assert expected(agent.model_copy(update={"turn_taking": TurnTaking(backchannels=())})) == ()


@pytest.mark.parametrize("phrases", [("ok",), ("ok", "ok ok")])
def test_a_caller_who_says_ok_a_thousand_times_is_judged_at_once(phrases: tuple[str, ...]) -> None:
    words = BargeInWords(phrases, 0)
    assert not words.claim("ok " * 2_000)
    assert words.claim("ok " * 2_000 + "stop")
