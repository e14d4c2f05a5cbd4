"""The conversation of one session: what was said and heard, and which tools were used.

Its length is bounded, because a session may last for hours, and because models, tools and callers may be verbose.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

MAX_ENTRIES = 200
MAX_CHARACTERS = 200_000
"""Of all entries together: some 50,000 tokens of a language model."""


class Utterance(NamedTuple):
    """The words of one speaker. The agent's text is what the caller heard of it."""

    role: Literal["user", "agent"]
    text: str
    interrupted: bool = False


class ToolCall(NamedTuple):
    """A call of a tool. `arguments` is a JSON object as text, as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolUse(NamedTuple):
    """A call and its result, as text for the model."""

    call: ToolCall
    result: str


Entry = Utterance | ToolUse

NOT_UNDERSTOOD = Utterance("user", "")
"""Speech without understood words. Only ever the last entry of `to_answer`."""


class Conversation:
    """The newest entries, oldest first: as many as fit, but always the last. Speech that was not understood is not
    kept."""

    def __init__(
        self, entries: Iterable[Entry] = (), max_entries: int = MAX_ENTRIES, max_characters: int = MAX_CHARACTERS
    ) -> None:
        self._entries: deque[Entry] = deque()
        self._characters = 0
        self._max_entries = max_entries
        self._max_characters = max_characters
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        if isinstance(entry, Utterance) and not entry.text:
            raise ValueError("an utterance has words")
        self._entries.append(entry)
        self._characters += _characters(entry)
        while len(self) > self._max_entries or (self._characters > self._max_characters and len(self) > 1):
            self._characters -= _characters(self._entries.popleft())

    @property
    def entries(self) -> Sequence[Entry]:
        return tuple(self._entries)

    def to_answer(self) -> Sequence[Entry]:
        """The conversation that the agent answers now.

        It ends with the caller's words or with a tool's result. If the agent spoke last, the caller's speech was not
        understood, and it ends with `NOT_UNDERSTOOD`.
        """
        match self._entries[-1] if self._entries else None:
            case Utterance(role="user") | ToolUse():
                return self.entries
        return (*self._entries, NOT_UNDERSTOOD)


def _characters(entry: Entry) -> int:
    if isinstance(entry, Utterance):
        return len(entry.text)
    return sum(map(len, entry.call)) + len(entry.result)
