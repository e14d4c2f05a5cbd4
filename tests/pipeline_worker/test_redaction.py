"""What callers, models and tools say is not in the logs."""

import logging

import pytest
import structlog

from pipeline_worker.engines.protocols import Reply, ToolCall
from shared.agent_tools import Tool
from shared.events import TextReceived
from shared.io.broker import Redis
from tests.fakes.engines import FakeLm, FakeStt
from tests.fakes.session_peer import SESSION
from tests.pipeline_worker.sessions import GREETING, connected, engines_with

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
