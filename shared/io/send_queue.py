"""What waits to be written to one destination: audio and messages in one order, each with its own rule for too much.

The oldest of either is dropped at once, however many of the other stand before it: frames lie in one deque, messages
in another, each with the number of the frame that it came before. A message never gets too old; frames do. Only every
eighth is stamped, because to ask for the time would double what it costs to queue one.
"""

from collections import deque
from collections.abc import Callable

from shared.events import Message
from shared.frames import AudioFrame, SilenceRun
from shared.wire import Item

_FRAMES_PER_STAMP = 8
"""160 ms of one caller: so much may stay that should have gone."""


class SendQueue:
    """`clock` tells the seconds by which frames grow old."""

    __slots__ = ("_clock", "_first_frame", "_frames", "_messages", "_stamps")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_frame = 0
        """Number of the oldest frame that is here."""
        self._frames: deque[AudioFrame | SilenceRun] = deque()
        self._messages: deque[tuple[int, Message]] = deque()
        self._stamps: deque[tuple[int, float]] = deque()
        """When the frames before this number were there."""

    def add_frame(self, frame: AudioFrame | SilenceRun, limit: int) -> bool:
        """False if the oldest had to go, so that no more than `limit` frames wait."""
        frames = self._frames
        frames.append(frame)
        waiting = len(frames)
        if not (self._first_frame + waiting) % _FRAMES_PER_STAMP:
            self._stamps.append((self._first_frame + waiting, self._clock()))
        if waiting <= limit:
            return True
        self._drop_frames_before(self._first_frame + 1)
        return False

    def add_message(self, message: Message, limit: int) -> bool:
        """False if the oldest had to go, so that no more than `limit` messages wait."""
        self._messages.append((self._first_frame + len(self._frames), message))
        if len(self._messages) <= limit:
            return True
        self._messages.popleft()
        return False

    def drop_frames_until(self, time_s: float) -> int:
        """Drop those that came until then; returns how many."""
        first = self._first_frame
        while self._stamps and self._stamps[0][1] <= time_s:
            self._drop_frames_before(self._stamps[0][0])
        return self._first_frame - first

    def messages(self) -> list[Message]:
        return [message for _, message in self._messages]

    def items(self) -> list[Item]:
        """All, in the order in which they came."""
        items: list[Item] = []
        frames, number = iter(self._frames), self._first_frame
        for before, message in self._messages:
            while number < before:
                items.append(next(frames))
                number += 1
            items.append(message)
        items.extend(frames)
        return items

    def _drop_frames_before(self, number: int) -> None:
        while self._first_frame < number:
            self._frames.popleft()
            self._first_frame += 1
        while self._stamps and self._stamps[0][0] <= number:
            self._stamps.popleft()
