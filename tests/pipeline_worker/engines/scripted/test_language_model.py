from collections.abc import AsyncIterator, Sequence
from datetime import datetime, tzinfo

import pytest

from pipeline_worker.engines.protocols import Reply, Utterance
from pipeline_worker.engines.scripted import language_model
from pipeline_worker.engines.scripted.language_model import ScriptedLanguageModel, ScriptedLanguageModelProvider
from shared.agent import AgentDefinition
from shared.errors import ConfigError
from tests.fakes.scripts import SCRIPT, scripted_agent
from tests.pipeline_worker.engines.scripted.scripts import RESTAURANT


@pytest.fixture
async def model() -> AsyncIterator[ScriptedLanguageModel]:
    provider = await started(scripted_agent())
    yield provider.open("desk")
    await provider.close()


async def started(*agents: AgentDefinition) -> ScriptedLanguageModelProvider:
    provider = ScriptedLanguageModelProvider()
    for agent in agents:
        provider.add(agent)
    await provider.start()
    return provider


async def answer(model: ScriptedLanguageModel, *said: str) -> Reply:
    conversation: Sequence[Utterance] = [Utterance("user", text) for text in said]
    replies = [reply async for reply in model.reply(conversation)]
    assert len(replies) == 1
    return replies[0]


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (["When are you open?"], "From five on."),
        (["Book a table.", "Seven.", "Seven."], "A table for 7 people at 7 pm."),
        (["Book a table at seven thirty.", "Two."], "A table for 2 people at 7:30 pm."),
        (["book a table for two at seven", "half past seven"], "A table for 2 people at 7:30 pm."),
        (["book a table for two", "never mind"], "Forgotten."),
        (["say that again"], "Hello."),
        (["purple elephants", "what is the capital of france"], "Ask when we are open."),
    ],
)
async def test_the_reply_follows_from_the_conversation(
    model: ScriptedLanguageModel, said: list[str], reply: str
) -> None:
    assert await answer(model, *said) == Reply(reply)


async def test_goodbye_ends_the_call(model: ScriptedLanguageModel) -> None:
    assert await answer(model, "Goodbye.") == Reply("Goodbye!", end_call=True)


async def test_only_the_callers_words_count(model: ScriptedLanguageModel) -> None:
    conversation = [Utterance("agent", "book a table for two"), Utterance("user", "at seven"), Utterance("agent", "x")]
    assert [reply.text async for reply in model.reply(conversation)] == ["For how many?"]


async def test_a_worker_that_takes_over_a_session_continues_where_the_other_stopped() -> None:
    one, other = await started(scripted_agent()), await started(scripted_agent())
    assert (await answer(one.open("desk"), "book a table for two")).text == "When?"
    assert (await answer(other.open("desk"), "book a table for two", "seven")).text == "A table for 2 people at 7 pm."


async def test_sessions_of_one_agent_do_not_mix(model: ScriptedLanguageModel) -> None:
    await answer(model, "book a table for two")
    assert (await answer(model, "at seven")).text == "For how many?"


async def test_agents_do_not_mix() -> None:
    other = {**SCRIPT, "intents": [{"name": "hours", "examples": ["when are you open"], "reply": "Never."}]}
    provider = await started(scripted_agent(), scripted_agent(other, id="other"))
    assert (await answer(provider.open("other"), "When are you open?")).text == "Never."
    assert (await answer(provider.open("desk"), "When are you open?")).text == "From five on."


async def test_a_caller_who_says_okay_is_not_hung_up_on() -> None:
    """Half of "okay goodbye"."""
    ending = {"name": "end", "examples": ["okay goodbye", "sure"], "ends_call": True, "reply": "Bye!"}
    provider = await started(scripted_agent({**SCRIPT, "intents": [*SCRIPT["intents"], ending]}))
    model = provider.open("desk")
    assert await answer(model, "okay") == Reply("Pardon?")
    assert await answer(model, "okay goodbye") == Reply("Bye!", end_call=True)
    assert await answer(model, "sure") == Reply("Bye!", end_call=True), "a backchannel that is an example is one"


class Clock(datetime):
    """Stands in for `datetime` in the engine."""

    at = datetime.min
    zones: list[tzinfo | None] = []

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Clock":
        cls.zones.append(tz)
        return cls.combine(cls.at.date(), cls.at.time())


async def test_tomorrow_is_counted_from_the_day_on_which_the_session_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "datetime", Clock)
    provider = await started(scripted_agent({**RESTAURANT, "timezone": "Europe/Berlin"}))
    Clock.at = datetime(2026, 12, 2, 23, 59)
    began = provider.open("desk")
    Clock.at = datetime(2026, 12, 3, 0, 1)
    wish = "Book a table for two on Saturday at seven, my name is Miller."
    booked = "A table for 2 people {} at 7 pm, for Miller. Shall I book it?"
    tomorrow = wish.replace("on Saturday", "the day after tomorrow")
    assert (await answer(began, tomorrow)).text == booked.format("on Friday, December 4")
    assert (await answer(provider.open("desk"), tomorrow)).text == booked.format("on Saturday, December 5")
    assert (await answer(began, wish.replace("on Saturday", "tomorrow"))).text == booked.format("tomorrow")
    assert {str(zone) for zone in Clock.zones} == {"Europe/Berlin"}


async def test_without_a_zone_the_day_is_the_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "datetime", Clock)
    monkeypatch.setattr(Clock, "zones", [])
    Clock.at = datetime(2026, 12, 31, 12)
    model = (await started(scripted_agent(RESTAURANT))).open("desk")
    known = (await answer(model, "Book a table for two tomorrow at seven, my name is Miller.")).text
    assert known.startswith("A table for 2 people tomorrow")
    assert Clock.zones == [None]


async def test_an_agent_without_a_greeting_repeats_its_fallback() -> None:
    provider = await started(scripted_agent(greeting=None))
    assert (await answer(provider.open("desk"), "Say that again.")).text == "Pardon?"


def test_the_error_for_an_invalid_script_names_agent_and_field() -> None:
    with pytest.raises(ConfigError, match=r"agent 'desk': language_model\.options\.fallback: missing: add it"):
        ScriptedLanguageModelProvider().add(scripted_agent({key: SCRIPT[key] for key in ("slots", "intents")}))


def test_tools_are_refused() -> None:
    agent = scripted_agent(tools=[{"builtin": "end_call"}])
    with pytest.raises(ConfigError, match=r"language_model.engine: the scripted dialogue cannot use tools: choose"):
        ScriptedLanguageModelProvider().add(agent)


def test_an_agent_without_a_script_cannot_be_opened() -> None:
    with pytest.raises(ConfigError, match="agent 'desk' has no script"):
        ScriptedLanguageModelProvider().open("desk")
