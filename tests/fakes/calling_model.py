"""A language model that calls tools as a test tells it to."""

from collections.abc import AsyncGenerator, Sequence

from pipeline_worker.engines.protocols import Entry, Reply, ToolCall


def calls(*named: str, say: str = "") -> list[Reply]:
    """An answer that calls tools: each `name`, or `name {arguments}`. Their ids are 1, 2, ..."""
    split = [call.partition(" ") for call in named]
    made = tuple(ToolCall(str(number), name, rest) for number, (name, _, rest) in enumerate(split, start=1))
    return [*([Reply(say)] if say else []), Reply("", tool_calls=made)]


class CallingModel:
    """Gives the next of `answers` to each request; the last again and again."""

    def __init__(self, *answers: Sequence[Reply]) -> None:
        self._answers = list(answers)
        self.asked: list[Sequence[Entry]] = []
        self.active = 0
        self.closed = False

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        self.asked.append(conversation)
        self.active += 1
        try:
            for piece in self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]:
                yield piece
        finally:
            self.active -= 1

    async def close(self) -> None:
        self.closed = True
