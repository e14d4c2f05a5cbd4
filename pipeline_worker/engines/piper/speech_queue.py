"""Schedules the speech of many callers by deadline. No IO, no clock: `now` is passed in.

Speech is made in slices, on request, so little is wasted when a caller interrupts. A slice is due when the earlier
speech of its text is played out; the first slice of a reply is due at once. The slice that is due first is made next.
So a caller with speech in hand never delays a reply, and callers who have run out take turns.
"""

from typing import Generic, NamedTuple, TypeVar

MOST_TEXTS = 128
"""A half-made sentence of 10 s takes 0.7 MB."""

T = TypeVar("T")


class Turn(NamedTuple, Generic[T]):
    channel: int
    text: T


class _Text(Generic[T]):
    def __init__(self, text: T, due: float) -> None:
        self.text = text
        self.due: float | None = due
        """None if no slice is requested."""
        self.played_until = due


class SpeechQueue(Generic[T]):
    def __init__(self) -> None:
        self._texts: dict[int, _Text[T]] = {}

    def open(self, channel: int, text: T, due: float) -> bool:
        """Adds a text and requests its first slice, due when earlier speech is over. False if the queue is full."""
        if len(self._texts) >= MOST_TEXTS:
            return False
        self._texts[channel] = _Text(text, due)
        return True

    def ask(self, channel: int, now: float) -> None:
        """Requests the next slice. Does nothing for a closed channel."""
        if text := self._texts.get(channel):
            # A late request means that the caller paused, so it is due no earlier than now.
            text.due = max(now, text.played_until)

    def close(self, channel: int) -> None:
        """Idempotent."""
        self._texts.pop(channel, None)

    def next(self) -> Turn[T] | None:
        """The text whose slice to make now; `made` must follow."""
        asking = [(text.due, channel) for channel, text in self._texts.items() if text.due is not None]
        if not asking:
            return None
        _, channel = min(asking, key=lambda one: one[0])
        text = self._texts[channel]
        text.due = None
        return Turn(channel, text.text)

    def wants(self, channel: int) -> bool:
        return channel in self._texts

    def made(self, channel: int, duration_s: float, now: float) -> bool:
        """Records a slice. False if the channel was closed meanwhile."""
        if (text := self._texts.get(channel)) is None:
            return False
        text.played_until = max(text.played_until, now) + duration_s
        return True
