import json
from typing import Any

import pytest

from pipeline_worker.engines.openai.messages import ABOUT_THE_CALL, ToolCallDrafts, chat_messages
from pipeline_worker.turns.conversation import NOT_UNDERSTOOD, ToolCall, ToolUse, Utterance

LOOK_UP = ToolUse(ToolCall("1", "look_up", '{"day": "Friday"}'), "two tables")


def told(*conversation: Utterance | ToolUse) -> list[dict[str, Any]]:
    return chat_messages("Be kind.", conversation)[1:]


def test_the_model_gets_its_instructions_and_knows_that_it_is_on_a_call() -> None:
    system = chat_messages("Be kind.", [Utterance("user", "Hi")])[0]
    assert system == {"role": "system", "content": f"Be kind.\n\n{ABOUT_THE_CALL}"}
    assert chat_messages("", [])[0]["content"] == ABOUT_THE_CALL


def test_an_interrupted_answer_ends_with_a_dash_and_lost_words_are_inaudible() -> None:
    assert told(Utterance("user", "Hi"), Utterance("agent", "We open at ", interrupted=True), NOT_UNDERSTOOD) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "We open at—"},
        {"role": "user", "content": "(inaudible)"},
    ]
    assert "—" in ABOUT_THE_CALL and "(inaudible)" in ABOUT_THE_CALL


def test_roles_take_turns_and_the_caller_is_first() -> None:
    assert told(
        Utterance("agent", "Hello."),
        Utterance("user", "A table"),
        Utterance("user", "for two"),
        Utterance("agent", "Yes."),
    ) == [
        {"role": "user", "content": "(The call is connected.)"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "A table\nfor two"},
        {"role": "assistant", "content": "Yes."},
    ]


def test_a_tool_belongs_to_the_answer_that_used_it() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"day": "Friday"}'}}
    result = {"role": "tool", "tool_call_id": "1", "content": "two tables"}
    assert told(Utterance("user", "Friday?"), Utterance("agent", "Let me see."), LOOK_UP, LOOK_UP) == [
        {"role": "user", "content": "Friday?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        result,
        {"role": "assistant", "tool_calls": [call]},
        result,
    ]
    assert told(LOOK_UP, Utterance("agent", "Two."))[-2:] == [result, {"role": "assistant", "content": "Two."}]


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "Friday", "[" * 100_000], ids=range(5))
def test_malformed_arguments_do_not_spoil_the_rest_of_the_call(arguments: str) -> None:
    written = told(Utterance("user", "Friday?"), ToolUse(ToolCall("1", "look_up", arguments), "bad arguments"))
    assert json.loads(written[1]["tool_calls"][0]["function"]["arguments"]) == {}


def delta(index: int | None, id_: str | None, name: str | None = None, arguments: str | None = None) -> Any:
    return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "deltas",
    [
        [
            delta(0, "a", "one", ""),
            delta(1, "b", "two", '{"x":'),
            delta(0, None, None, "{}"),
            delta(1, None, None, "1}"),
        ],
        [delta(0, "a", "one", "{}"), delta(0, "b", "two", '{"x":1}')],
        [delta(None, "a", "one", "{}"), delta(None, "b", "two", '{"x":'), delta(None, "b", "two", "1}")],
        [delta(0, "a", "one"), delta(1, "b", "two", '{"x":1}'), {"index": 1}],
    ],
)
def test_tool_calls_are_assembled_however_a_server_numbers_their_parts(deltas: list[Any]) -> None:
    drafts = ToolCallDrafts()
    for part in deltas:
        drafts.add([part])
    assert drafts.finish(0) == (ToolCall("a", "one", "{}"), ToolCall("b", "two", '{"x":1}'))


def test_a_call_without_an_id_gets_one() -> None:
    drafts = ToolCallDrafts()
    drafts.add([delta(0, "", "one", "{}"), delta(1, "", "two", "{}")])
    assert [call.id for call in drafts.finish(7)] == ["call_7_0", "call_7_1"]


def test_a_tool_call_without_a_name_or_without_end_is_an_error() -> None:
    drafts = ToolCallDrafts()
    drafts.add([delta(0, "a", None, "{}")])
    with pytest.raises(ValueError, match="without a name"):
        drafts.finish(0)
    with pytest.raises(ValueError, match="no end"):
        drafts.add([delta(0, "a", None, "x" * 100_001)])


def test_a_tool_name_must_be_text_and_an_id_may_be_a_number() -> None:
    with pytest.raises(ValueError, match="no text"):
        ToolCallDrafts().add([{"index": 0, "id": "a", "function": {"name": {"x": 1}}}])
    drafts = ToolCallDrafts()
    drafts.add([{"index": 0, "id": 7, "function": {"name": "one"}}])
    assert drafts.finish(0) == (ToolCall("7", "one", "{}"),)
