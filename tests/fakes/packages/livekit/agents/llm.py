"""The base of language models, and conversations."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class LLM:
    pass


@dataclass
class ChatMessage:
    role: str
    content: str


@dataclass
class FunctionCall:
    call_id: str
    name: str
    arguments: str


@dataclass
class FunctionCallOutput:
    call_id: str
    name: str
    output: str
    is_error: bool


@dataclass
class ChatContext:
    items: list[Any] = field(default_factory=list)

    @classmethod
    def empty(cls) -> "ChatContext":
        return cls()

    def add_message(self, *, role: str, content: str) -> None:
        self.items.append(ChatMessage(role, content))


def function_tool(function: Callable[..., Any], *, raw_schema: dict[str, Any]) -> Any:
    return raw_schema
