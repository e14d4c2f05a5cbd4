"""A conversation as chat completion messages, and tool calls that arrive in parts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_worker.engines.protocols import Entry, ToolCall, Utterance
from pipeline_worker.turns.conversation import ToolUse

INTERRUPTED = "—"
NOT_UNDERSTOOD = "(inaudible)"
CALL_BEGINS = "(The call is connected.)"
ABOUT_THE_CALL = (
    "You are on a voice call; what you write is spoken. Answer briefly, in plain sentences as people say them: no "
    f"markdown, lists or emoji. An answer of yours that ends with {INTERRUPTED} was interrupted there: the caller "
    f"heard no more of it. {NOT_UNDERSTOOD} stands for words of the caller that nobody understood: ask for them again."
)
_MOST_ARGUMENT_CHARACTERS = 100_000


def chat_messages(instructions: str, conversation: Sequence[Entry]) -> list[dict[str, Any]]:
    """Roles alternate and the caller is first, because the templates of many open models require it."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": f"{instructions}\n\n{ABOUT_THE_CALL}".strip()}]
    if conversation and not (isinstance(conversation[0], Utterance) and conversation[0].role == "user"):
        _say(messages, "user", CALL_BEGINS)
    for entry in conversation:
        match entry:
            case Utterance("user", text):
                _say(messages, "user", text or NOT_UNDERSTOOD)
            case Utterance("agent", text, interrupted):
                _say(messages, "assistant", f"{text.rstrip()}{INTERRUPTED}" if interrupted else text)
            case ToolUse(call, result):
                _use(messages, call, result)
    return messages


def _say(messages: list[dict[str, Any]], role: str, text: str) -> None:
    last = messages[-1]
    if last["role"] == role and "tool_calls" not in last:
        last["content"] += f"\n{text}"
    else:
        messages.append({"role": role, "content": text})


def _use(messages: list[dict[str, Any]], call: ToolCall, result: str) -> None:
    if messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant"})
    function = {"name": call.name, "arguments": _object(call.arguments)}
    messages[-1]["tool_calls"] = [{"id": call.id, "type": "function", "function": function}]
    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def _object(arguments: str) -> str:
    """Invalid arguments become `{}`: some servers would refuse the whole conversation for them."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


@dataclass
class _Draft:
    index: int | None
    id: str
    name: str = ""
    arguments: str = ""


class ToolCallDrafts:
    """Tool calls while a model writes them."""

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []

    def add(self, deltas: Iterable[Mapping[str, Any]]) -> None:
        """`deltas` are those of one chunk. Raises `ValueError` for a call that is too long."""
        for delta in deltas:
            draft = self._draft(delta.get("index"), str(delta.get("id") or ""))
            function = delta.get("function") or {}
            draft.name = draft.name or function.get("name") or ""
            if not isinstance(draft.name, str):
                raise ValueError("a tool call whose name is no text")
            draft.arguments += function.get("arguments") or ""
            if len(draft.arguments) > _MOST_ARGUMENT_CHARACTERS:
                raise ValueError(f"the arguments of {draft.name} have no end")

    def finish(self, call_number: int) -> tuple[ToolCall, ...]:
        """The calls. `call_number` makes ids for calls without one. Raises `ValueError` for a call without a name."""
        if not all(draft.name for draft in self._drafts):
            raise ValueError("a tool call without a name")
        return tuple(
            ToolCall(draft.id or f"call_{call_number}_{position}", draft.name, draft.arguments or "{}")
            for position, draft in enumerate(self._drafts)
        )

    def _draft(self, index: int | None, id_: str) -> _Draft:
        """Some servers give all calls index 0, or none: another id is another call."""
        for draft in reversed(self._drafts):
            if draft.index == index and id_ in ("", draft.id):
                return draft
        self._drafts.append(_Draft(index, id_))
        return self._drafts[-1]
