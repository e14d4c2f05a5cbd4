"""The queue of one destination: audio and messages in one order, each with its own bound.

Frames are in one deque and messages in another, so that the oldest of either can be dropped at once. Each message holds
the number of the frame that follows it. Frames expire, messages do not. Only every eighth frame is time-stamped,
because reading the clock would double the cost of queueing one.
"""

from collections import deque
from collections.abc import Callable

from shared.events import Message
from shared.frames import AudioFrame, SilenceRun
from shared.wire import Item

_FRAMES_PER_STAMP = 8
"""160 ms of one caller: expiry is that imprecise."""


class SendQueue:
    """`clock` returns the seconds by which frames expire."""

    __slots__ = ("_clock", "_first_frame", "_frames", "_messages", "_stamps")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_frame = 0
        """Number of the oldest frame in the queue."""
        self._frames: deque[AudioFrame | SilenceRun] = deque()
        self._messages: deque[tuple[int, Message]] = deque()
        self._stamps: deque[tuple[int, float]] = deque()
        """(number, time at which all frames before it had arrived)"""

    def add_frame(self, frame: AudioFrame | SilenceRun, limit: int) -> bool:
        """False if the oldest frame was dropped to keep within `limit` frames."""
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
        """False if the oldest message was dropped to keep within `limit` messages."""
        self._messages.append((self._first_frame + len(self._frames), message))
        if len(self._messages) <= limit:
            return True
        self._messages.popleft()
        return False

    def drop_frames_until(self, time_s: float) -> int:
        """Drop the frames that arrived until then; returns how many."""
        first = self._first_frame
        while self._stamps and self._stamps[0][1] <= time_s:
            self._drop_frames_before(self._stamps[0][0])
        return self._first_frame - first

    def messages(self) -> list[Message]:
        return [message for _, message in self._messages]

    def items(self) -> list[Item]:
        """Everything, in order of arrival."""
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
