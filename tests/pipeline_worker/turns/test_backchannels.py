import pytest

from pipeline_worker.turns.backchannels import BargeInWords, expected, usual
from shared.agent import AgentDefinition, TurnTaking


@pytest.mark.parametrize("text", ["", "uh-huh", "Uh huh.", "Yeah, yeah.", "okay I see", "Mhm", "Right. Got it!"])
def test_backchannels_do_not_claim_the_floor(text: str) -> None:
    assert not BargeInWords(usual("en"), 0).claim(text)


@pytest.mark.parametrize("text", ["no", "yeah but", "I see a problem", "wait", "okay stop"])
def test_other_words_do(text: str) -> None:
    assert BargeInWords(usual("en-GB"), 0).claim(text)


def test_an_agent_may_want_more_than_one_word() -> None:
    words = BargeInWords([], 3)
    assert not words.claim("wait please")
    assert words.claim("wait a moment")


def test_without_a_list_every_word_counts() -> None:
    assert BargeInWords([], 0).claim("hm")
    assert not BargeInWords([], 0).claim(" ...")


def test_languages_have_their_own() -> None:
    assert not BargeInWords(usual("de_DE"), 0).claim("Ach so, genau")
    assert usual("tlh") == ()


def test_the_agents_file_names_them_or_its_language_does() -> None:
    agent = AgentDefinition(id="desk", name="Desk", language="de")
    assert expected(agent) == usual("de")
    assert expected(agent.model_copy(update={"turn_taking": TurnTaking(backchannels=())})) == ()
