import pytest

from pipeline_worker.tools.builtin import EndCall, Transfer
from pipeline_worker.tools.outcome import Outcome, ToolContext, ToolFailure
from shared.agent_tools import Tool

CONTEXT = ToolContext("session-1", "desk", "call-1")


def transfer(**fields: str) -> Transfer:
    return Transfer(
        Tool.model_validate({"builtin": "transfer", "destinations": {"kitchen": "sip:k@example.com"}, **fields})
    )


async def test_the_call_ends() -> None:
    ending = EndCall(Tool.model_validate({"builtin": "end_call", "say": "Goodbye!"}))
    assert await ending.run({}, CONTEXT) == Outcome("The call ends.", final=True, say="Goodbye!", end_call=True)


async def test_the_client_gets_the_destination_of_a_transfer() -> None:
    outcome = await transfer().run({"destination": "kitchen", "reason": "a question " * 100}, CONTEXT)
    assert outcome.event is not None
    event, fields = outcome.event
    assert (event, fields["destination"], fields["uri"]) == ("transfer", "kitchen", "sip:k@example.com")
    assert len(fields["reason"]) == 500
    assert not outcome.final


async def test_with_a_sentence_of_its_own_a_transfer_ends_the_turn() -> None:
    outcome = await transfer(say="Please hold the line.").run({"destination": "kitchen"}, CONTEXT)
    assert (outcome.final, outcome.say, outcome.end_call) == (True, "Please hold the line.", False)


@pytest.mark.parametrize("destination", ["bar", "sip:mallory@example.com", None, ["kitchen"]], ids=str)
async def test_an_unknown_destination_is_refused(destination: object) -> None:
    with pytest.raises(ToolFailure, match="choose one of kitchen"):
        await transfer().run({"destination": destination}, CONTEXT)
