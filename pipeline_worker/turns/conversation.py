"""What was said, heard and done in one session, turn by turn. Bounded, because a session may last for hours."""

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

MAX_ENTRIES = 200


class Utterance(NamedTuple):
    """One entry of the conversation; the agent's text is what was heard of it."""

    role: Literal["user", "agent"]
    text: str
    interrupted: bool = False


class ToolCall(NamedTuple):
    """The agent uses a tool. `arguments` is a JSON object as text, as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolUse(NamedTuple):
    """A tool's use and what came of it, as text for the model."""

    call: ToolCall
    result: str


Entry = Utterance | ToolUse

NOT_UNDERSTOOD = Utterance("user", "")
"""Speech without known words, as the last utterance of a conversation that asks for a reply."""


class Conversation:
    """The newest entries, oldest first. Speech that was not understood is never kept."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: deque[Entry] = deque(maxlen=max_entries)

    def add(self, entry: Entry) -> None:
        if isinstance(entry, Utterance) and not entry.text:
            raise ValueError("an utterance has words")
        self._entries.append(entry)

    @property
    def entries(self) -> Sequence[Entry]:
        return tuple(self._entries)

    def to_answer(self) -> Sequence[Entry]:
        """What the agent should answer now.

        If the caller's last words are unanswered it is those, whatever noise came after them, and if a tool was used
        last it is what came of it; otherwise something was said that nobody understood.
        """
        match self._entries[-1] if self._entries else None:
            case Utterance(role="user") | ToolUse():
                return self.entries
        return (*self._entries, NOT_UNDERSTOOD)
