"""Whose speech a voice should make next. No IO, no clock: `now` is passed in.

Speech is made in slices, and a slice only when it is asked for, so little is made for a caller who interrupts. The next
slice of a text is due when the speech that it has been given is played out; the first slice of a reply is due at
once. The slice that is due first is made next. So a caller who still has speech in hand never holds up a reply, and
callers whose speech has run out take turns.
"""

from typing import Generic, NamedTuple, TypeVar

MOST_TEXTS = 128
"""A sentence of 10 s that is half made takes 0.7 MB."""

T = TypeVar("T")


class Turn(NamedTuple, Generic[T]):
    channel: int
    text: T


class _Text(Generic[T]):
    def __init__(self, text: T, due: float) -> None:
        self.text = text
        self.due: float | None = due
        """None while nobody asks for a slice."""
        self.played_until = due


class SpeechQueue(Generic[T]):
    def __init__(self) -> None:
        self._texts: dict[int, _Text[T]] = {}

    def open(self, channel: int, text: T, due: float) -> bool:
        """A text, which asks for its first slice: `due` at once, or when speech before it is played out.

        False when there are too many already.
        """
        if len(self._texts) >= MOST_TEXTS:
            return False
        self._texts[channel] = _Text(text, due)
        return True

    def ask(self, channel: int, now: float) -> None:
        """One more slice. For who is not there any more it does nothing."""
        if text := self._texts.get(channel):
            # Who asks late has paused, and needs it no sooner than one who asks now.
            text.due = max(now, text.played_until)

    def close(self, channel: int) -> None:
        """It is over, or not wanted any more. Idempotent."""
        self._texts.pop(channel, None)

    def next(self) -> Turn[T] | None:
        """Whose slice to make now; `made` must follow."""
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
        """A slice is ready. False when nobody wants it any more."""
        if (text := self._texts.get(channel)) is None:
            return False
        text.played_until = max(text.played_until, now) + duration_s
        return True
