"""What callers, models and tools say is not in the logs."""

import logging
from collections.abc import AsyncGenerator

import pytest
import structlog

from pipeline_worker.engines.guard import EngineGuard
from pipeline_worker.engines.network.errors import broken, lost, refusal
from pipeline_worker.engines.protocols import Reply, ToolCall
from pipeline_worker.tools.toolbox import Toolboxes
from shared.agent_tools import Tool
from shared.errors import EngineError
from shared.events import TextReceived
from shared.io.broker import Redis
from tests.fakes.engines import FakeLm, FakeStt
from tests.fakes.session_peer import SESSION
from tests.pipeline_worker.sessions import AGENT, GREETING, connected, engines_with

SAID = "heliotrope"
TYPED = "marzipan"
ANSWERED = "cormorant"
ARGUMENT = "quicksilver"
LOOK_UP = Tool(
    name="look_up",
    description="Looks something up.",
    python="tests.pipeline_worker.test_redaction:look_up",
    parameters={
        "type": "object",
        "properties": {"what": {"type": "string", "pattern": "^quick"}},
        "required": ["what"],
    },
)


def look_up(what: str) -> str:
    return f"found {what}"


async def session_of_words(broker: Redis) -> None:
    engines = engines_with(
        FakeStt(f"the word is {SAID}"),
        FakeLm(
            [Reply("", tool_calls=(ToolCall("1", "look_up", f'{{"what": "{ARGUMENT}"}}'),))],
            [Reply("", tool_calls=(ToolCall("2", "look_up", f'{{"what": "not {ARGUMENT}"}}'),))],
            [Reply(f"It is a {ANSWERED}.")],
        ),
    )
    async with connected(engines, broker, greeting=GREETING, tools=(LOOK_UP,)) as peer:
        await peer.play_turn()
        await peer.until_status("speaking", "listening")
        await peer.ask()
        await peer.play_turn()
        await peer.until(lambda: peer.published("transcript")[-1]["text"] == f"It is a {ANSWERED}.")
        peer.tell(TextReceived(session=SESSION, text=TYPED))
        await peer.until(lambda: any(said["text"] == TYPED for said in peer.published("transcript")))
        await peer.play_turn()


async def test_a_session_logs_none_of_the_words_that_were_said(broker: Redis, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as events:
        await session_of_words(broker)
    lines = [*map(str, events), *(record.getMessage() for record in caplog.records)]
    assert any("'event': 'tool_used'" in line for line in lines)
    for word in (SAID, TYPED, ANSWERED, ARGUMENT, GREETING.text):
        assert [line for line in lines if word in line] == []


def look_up_badly(what: str) -> str:
    raise LookupError(f"no {what}")


@pytest.mark.parametrize(
    "failure",
    [
        refusal("Acme", 400, f"invalid content: {TYPED}", "invalid_content"),
        broken("Acme", "ValueError", TYPED),
        lost("Acme", ConnectionResetError(TYPED)),
    ],
    ids=["refusal", "broken", "lost"],
)
async def test_what_a_vendor_repeats_of_the_callers_words_is_not_logged(broker: Redis, failure: EngineError) -> None:
    with structlog.testing.capture_logs() as events:
        async with connected(engines_with(lm=FakeLm(failure)), broker, apology="Sorry.") as peer:
            peer.tell(TextReceived(session=SESSION, text=TYPED))
            await peer.until(lambda: bool(peer.published("error")))
            await peer.play_turn()
    told = [event for event in events if event["event"] == "engine_failed"]
    assert [event["code"] for event in told] == [failure.code]
    assert TYPED not in str(events)
    assert TYPED not in str(peer.published("error"))


async def test_a_fault_of_an_engine_is_logged_with_its_place_but_without_its_text() -> None:
    async def faulty() -> AsyncGenerator[Reply, None]:
        yield Reply("Well.")
        raise ValueError(f"cannot say {SAID}")

    guard = EngineGuard("language_model", "faulty", 5)
    with structlog.testing.capture_logs() as events, pytest.raises(EngineError):
        async for _ in guard.outputs(faulty(), lambda _: True):
            pass
    (told,) = (event for event in events if event["event"] == "engine_fault")
    assert told["error"].startswith("ValueError at ")
    assert "test_redaction.py" in told["error"]
    assert SAID not in str(events)


async def test_a_fault_of_a_tool_is_logged_without_the_arguments_that_it_quotes() -> None:
    tool = LOOK_UP.model_copy(update={"python": "tests.pipeline_worker.test_redaction:look_up_badly"})
    boxes = Toolboxes({AGENT.id: AGENT.model_copy(update={"tools": (tool,)})})
    await boxes.start()
    with structlog.testing.capture_logs() as events:
        call = ToolCall("1", "look_up", f'{{"what": "{ARGUMENT}"}}')
        assert not (await boxes.open(AGENT.id).run(call, SESSION)).ok
    await boxes.close()
    (told,) = events
    assert told["error"].startswith("LookupError at ")
    assert ARGUMENT not in str(told)
