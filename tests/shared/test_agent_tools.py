import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from shared.agent import AgentDefinition
from shared.agent_tools import Tool, Webhook

PHONE = {"type": "object", "properties": {"phone": {"type": "string"}}, "required": ["phone"]}
BASE = {"name": "find", "description": "Finds a booking."}
HOOK = {"url": "https://api.example.com/bookings"}


def tool(**fields: Any) -> Tool:
    return Tool.model_validate({**BASE, **fields})


def test_a_tool_is_a_webhook_a_function_or_built_in() -> None:
    webhook = tool(
        parameters=PHONE, webhook={"method": "GET", "url": "https://x.example/b/{phone}?full={phone}"}
    ).webhook
    assert webhook is not None
    assert webhook.placeholders == ("phone", "phone")
    assert tool(python="shop.prices:find").side_effects
    assert Tool.model_validate({"builtin": "end_call"}).name == "end_call"


def test_transfer_offers_its_destinations_to_the_model() -> None:
    transfer = Tool.model_validate({"builtin": "transfer", "destinations": {"kitchen": "sip:kitchen@example.com"}})
    assert transfer.name == "transfer"
    assert transfer.parameters["properties"]["destination"]["enum"] == ["kitchen"]


def test_a_built_in_may_have_another_name() -> None:
    assert Tool.model_validate({"builtin": "end_call", "name": "hang_up", "say": "Goodbye!"}).name == "hang_up"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "one of webhook, python and builtin"),
        ({"webhook": HOOK, "python": "a:b"}, "this one has webhook and python"),
        ({"webhook": HOOK, "name": "find booking"}, "pattern"),
        ({"webhook": HOOK, "description": ""}, "at least 1"),
        ({"webhook": HOOK, "timeout_s": 0}, "greater than 0"),
        ({"webhook": HOOK, "say": "Bye."}, "'say' belongs to built-ins"),
        ({"webhook": HOOK, "destinations": {"a": "b"}}, "only 'builtin: transfer'"),
        ({"builtin": "transfer"}, "no destinations"),
        ({"builtin": "transfer", "destinations": {"a": ""}}, "a name and a URI"),
        ({"builtin": "transfer", "destinations": ["a"]}, "valid dictionary"),
        ({"python": "os.system"}, "pattern"),
        ({"python": "os:system:x"}, "pattern"),
        ({"webhook": {"url": "https://x.example/{phone}"}}, "{phone} is not a parameter"),
        (
            {"webhook": {"url": "https://x.example/{phone}"}, "parameters": {"properties": {"phone": {}}}},
            "may be missing",
        ),
        ({"webhook": {"url": "https://x.example/{a}"}, "parameters": {"properties": 3}}, "is not a parameter"),
        ({"webhook": {"url": "https://x.example/{phone}"}, "parameters": {**PHONE, "required": 1}}, "may be missing"),
        ({"webhook": {"method": "TRACE", **HOOK}}, "Input should be"),
    ],
    ids=str,
)
def test_a_tool_that_cannot_be_called_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told.replace("{", r"\{")):
        tool(**fields)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "x.example/path",
        "https://",
        "https://{host}.example/",
        "https://x.example:{port}/",
        "https://x.example{path}",
        "{scheme}://x.example/",
        "https://user:password@x.example/",
        "https://x.example/#part",
        "https://x.example/a b",
        "https://x.example/a\\b",
        "https://x.example/a\r\nHost: b",
        "https://x.example/a/../b",
        "https://x.example/{not-a-name}",
        "https://x.example/{",
        "https://x.example:port/",
        "https://[::1/",
    ],
)
def test_a_url_that_could_lead_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Webhook(url=url)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "x"}, {"A b": "x"}, {"A": "x\r\nB: y"}, {"A": "ü"}, {"content-length": "0"}, {"": "x"}],
    ids=str,
)
def test_headers_that_would_break_the_request_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Webhook(url="https://x.example/", headers=headers)
    with pytest.raises(ValidationError):
        Webhook(url="https://x.example/", secret_header="Host")


def test_two_tools_with_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two tools are named 'end_call'"):
        AgentDefinition.model_validate(
            {
                "id": "desk",
                "name": "Desk",
                "tools": [{"builtin": "end_call"}, {**BASE, "name": "end_call", "python": "a:b"}],
            }
        )


def test_the_documents_example_is_an_agent() -> None:
    text = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    (example,) = re.findall(r"```yaml\n(tools:\n.*?)```", text, re.DOTALL)
    agent = AgentDefinition.model_validate({"id": "desk", "name": "Desk", **yaml.safe_load(example)})
    assert [tool.name for tool in agent.tools] == ["find_booking", "book_table", "end_call", "transfer"]
