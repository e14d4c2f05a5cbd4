"""What was said and heard in one session, turn by turn. Bounded, because a session may last for hours."""

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

MAX_UTTERANCES = 200


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
    """The newest utterances, oldest first. Speech that was not understood is never kept."""

    def __init__(self, max_utterances: int = MAX_UTTERANCES) -> None:
        self._utterances: deque[Utterance] = deque(maxlen=max_utterances)

    def add(self, utterance: Utterance) -> None:
        if not utterance.text:
            raise ValueError("an utterance has words")
        self._utterances.append(utterance)

    @property
    def utterances(self) -> Sequence[Utterance]:
        return tuple(self._utterances)

    def to_answer(self) -> Sequence[Utterance]:
        """What the agent should answer now.

        If the caller's last words are unanswered it is those, whatever noise came after them; otherwise something
        was said that nobody understood.
        """
        if self._utterances and self._utterances[-1].role == "user":
            return self.utterances
        return (*self._utterances, NOT_UNDERSTOOD)
