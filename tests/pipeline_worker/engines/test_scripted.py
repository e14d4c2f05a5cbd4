from collections.abc import Sequence

import pytest

from pipeline_worker.engines.protocols import Reply, Utterance
from pipeline_worker.engines.scripted import Provider, ScriptedLanguageModel
from shared.errors import ConfigError
from tests.fakes.scripts import SCRIPT, scripted_agent


@pytest.fixture
def model() -> ScriptedLanguageModel:
    provider = Provider()
    provider.add(scripted_agent())
    return provider.open("desk")


async def answer(model: ScriptedLanguageModel, *said: str) -> Reply:
    conversation: Sequence[Utterance] = [Utterance("user", text) for text in said]
    replies = [reply async for reply in model.reply(conversation)]
    assert len(replies) == 1
    return replies[0]


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (["when are you open"], "From five on."),
        (["book a table"], "For how many?"),
        (["book a table", "two"], "When?"),
        (["book a table", "seven", "seven"], "A table for seven at seven."),
        (["book a table at seven thirty", "two"], "A table for two at half past seven."),
        (["book a table for two at seven"], "A table for two at seven."),
        (["for two people"], "When?"),
    ],
)
async def test_a_form_asks_for_what_is_missing_and_answers_with_what_it_understood(
    model: ScriptedLanguageModel, said: list[str], reply: str
) -> None:
    assert await answer(model, *said) == Reply(reply)


async def test_a_complete_form_can_be_corrected(model: ScriptedLanguageModel) -> None:
    booked = ("book a table for two at seven",)
    assert (await answer(model, *booked, "half past seven")).text == "A table for two at half past seven."
    assert (await answer(model, *booked, "book a table for seven")).text == "A table for seven at seven."


async def test_asking_for_the_same_again_begins_a_new_form(model: ScriptedLanguageModel) -> None:
    assert (await answer(model, "book a table for two at seven", "book a table")).text == "For how many?"


async def test_a_question_in_the_middle_is_answered_and_the_form_goes_on(model: ScriptedLanguageModel) -> None:
    said = ["book a table", "when are you open"]
    assert (await answer(model, *said)).text == "From five on. For how many?"
    assert (await answer(model, *said, "two", "seven")).text == "A table for two at seven."


async def test_what_was_collected_can_be_forgotten(model: ScriptedLanguageModel) -> None:
    assert (await answer(model, "book a table for two", "never mind")).text == "Forgotten."
    assert (await answer(model, "book a table for two", "never mind", "book a table")).text == "For how many?"


async def test_the_last_reply_is_repeated_and_before_any_the_greeting(model: ScriptedLanguageModel) -> None:
    assert (await answer(model, "when are you open", "say that again", "say that again")).text == "From five on."
    assert (await answer(model, "say that again")).text == "Hello."


async def test_what_is_not_understood_is_asked_again_and_then_helped(model: ScriptedLanguageModel) -> None:
    assert (await answer(model, "")).text == "Pardon?"
    assert (await answer(model, "", "purple elephants")).text == "Ask when we are open."
    assert (await answer(model, "", "", "")).text == "Ask when we are open."
    assert (await answer(model, "", "when are you open", "")).text == "Pardon?"
    assert (await answer(model, "book a table", "")).text == "Pardon? For how many?"


async def test_mumbling_is_counted_although_it_leaves_no_words_of_the_caller(model: ScriptedLanguageModel) -> None:
    mumbled = [Utterance("agent", "Pardon?"), Utterance("user", "")]
    assert [reply.text async for reply in model.reply(mumbled)] == ["Ask when we are open."]
    spoken_between = [Utterance("agent", "Pardon?"), Utterance("user", "when are you open"), Utterance("user", "")]
    assert [reply.text async for reply in model.reply(spoken_between)] == ["Pardon?"]


async def test_goodbye_ends_the_call(model: ScriptedLanguageModel) -> None:
    assert await answer(model, "goodbye") == Reply("Goodbye!", end_call=True)


async def test_only_the_caller_s_words_count(model: ScriptedLanguageModel) -> None:
    conversation = [Utterance("agent", "book a table for two"), Utterance("user", "at seven"), Utterance("agent", "x")]
    assert [reply.text async for reply in model.reply(conversation)] == ["For how many?"]


async def test_sessions_of_one_agent_do_not_mix(model: ScriptedLanguageModel) -> None:
    await answer(model, "book a table for two")
    assert (await answer(model, "at seven")).text == "For how many?"


async def test_a_caller_who_says_okay_is_not_hung_up_on() -> None:
    """Half of "okay goodbye"."""
    ending = {"name": "end", "phrases": ["okay goodbye", "sure"], "ends_call": True, "reply": "Bye!"}
    provider = Provider()
    provider.add(scripted_agent({**SCRIPT, "intents": [*SCRIPT["intents"], ending]}))
    model = provider.open("desk")
    assert await answer(model, "okay") == Reply("Pardon?")
    assert await answer(model, "okay goodbye") == Reply("Bye!", end_call=True)
    assert await answer(model, "sure") == Reply("Bye!", end_call=True), "a backchannel that is a phrase is one"


def test_a_script_that_is_wrong_is_told_with_agent_and_field() -> None:
    with pytest.raises(ConfigError, match=r"agent 'desk': language_model\.options\.fallback: missing: add it"):
        Provider().add(scripted_agent({key: SCRIPT[key] for key in ("slots", "intents")}))


def test_an_agent_without_a_script_cannot_be_opened() -> None:
    with pytest.raises(ConfigError):
        Provider().open("desk")
